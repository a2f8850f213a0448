package people

import "strings"

// country is what names and addresses of a country are made of. Lists are in order of how common their entries are.
type country struct {
	code      string // ISO 3166
	calling   string
	trunk     string // what a national number begins with
	mobile    string // digits that a mobile number begins with, after the trunk
	digits    int    // of a national number after these
	women     []string
	men       []string
	family    []string
	stems     []string // rarer family names are a stem and an end
	ends      []string
	feminine  bool // family names have a form of their own for women
	double    bool // people have the names of both parents
	familyTop bool // the family name is written first in the language itself
	streets   []string
	number    func(street, number string) string
	places    []string // city, first digits of postal codes, region
	postal    int      // digits of a postal code
}

func words(s string) []string { return strings.Fields(s) }

func lines(s string) []string {
	all := strings.Split(strings.TrimSpace(s), ";")
	for i := range all {
		all[i] = strings.TrimSpace(all[i])
	}
	return all
}

func after(street, number string) string  { return street + " " + number }
func before(street, number string) string { return number + " " + street }

var countries = []*country{
	{
		code: "US", stems: words("Ash Brad Carl Dal Ed Farn Grant Hal Ken Lang Marsh North Oak Prest Rad Stan Thorn Wal West Whit Win Wood Black Brom Chad Cran El Fair Good Hart Hol Kirk Lin Mil New Ox Pem Red Rock Shel Stock Sut Trent Up War Wheat Wil York Bur Dun Hamp Ing Mal"), ends: words("ton ley field worth wood ford man son bury ham land shaw well by combe den stead wick more burn"),
		calling: "1", mobile: "", digits: 10,
		women:   words("Mary Patricia Jennifer Linda Elizabeth Barbara Susan Jessica Sarah Karen Lisa Nancy Betty Sandra Margaret Ashley Kimberly Emily Donna Michelle Carol Amanda Melissa Deborah Stephanie Rebecca Sharon Laura Cynthia Dorothy Amy Kathleen Angela Shirley Emma Brenda Pamela Nicole Anna Samantha Katherine Christine Debra Rachel Carolyn Janet Maria Olivia Heather Helen Catherine Diane Julie Victoria Joyce Lauren Kelly Christina Ruth Joan Virginia Judith Evelyn Hannah Andrea Megan Cheryl Jacqueline Madison Teresa Abigail Sophia Martha Sara Gloria Janice Kathryn Ann Isabella Judy Charlotte Julia Grace Amber Alice Jean Denise Frances Danielle Marilyn Natalie Beverly Diana Brittany Theresa Kayla Alexis Doris Lori Tiffany"),
		men:     words("James Robert John Michael David William Richard Joseph Thomas Christopher Charles Daniel Matthew Anthony Mark Donald Steven Andrew Paul Joshua Kenneth Kevin Brian Timothy Ronald George Jason Edward Jeffrey Ryan Jacob Nicholas Gary Eric Jonathan Stephen Larry Justin Scott Brandon Benjamin Samuel Gregory Alexander Patrick Frank Raymond Jack Dennis Jerry Tyler Aaron Jose Adam Nathan Henry Zachary Douglas Peter Kyle Noah Ethan Jeremy Christian Walter Keith Austin Roger Terry Sean Gerald Carl Dylan Harold Jordan Jesse Bryan Lawrence Arthur Gabriel Bruce Logan Billy Joe Alan Juan Elijah Willie Albert Wayne Randy Mason Vincent Liam Roy Bobby Caleb Bradley Russell Lucas"),
		family:  words("Smith Johnson Williams Brown Jones Garcia Miller Davis Rodriguez Martinez Hernandez Lopez Gonzalez Wilson Anderson Thomas Taylor Moore Jackson Martin Lee Perez Thompson White Harris Sanchez Clark Ramirez Lewis Robinson Walker Young Allen King Wright Scott Torres Nguyen Hill Flores Green Adams Nelson Baker Hall Rivera Campbell Mitchell Carter Roberts Gomez Phillips Evans Turner Diaz Parker Cruz Edwards Collins Reyes Stewart Morris Morales Murphy Cook Rogers Gutierrez Ortiz Morgan Cooper Peterson Bailey Reed Kelly Howard Ramos Kim Cox Ward Richardson Watson Brooks Chavez Wood James Bennett Gray Mendoza Ruiz Hughes Price Alvarez Castillo Sanders Patel Myers Long Ross Foster Jimenez Powell Jenkins Perry Russell Sullivan Bell Coleman Butler Henderson Barnes Gonzales Fisher Vasquez Simmons Romero Jordan Patterson Alexander Hamilton Graham Reynolds Griffin Wallace"),
		streets: lines("Main Street; Oak Street; Park Avenue; Maple Avenue; Cedar Street; Elm Street; Washington Street; Lake Drive; Hill Road; Walnut Street; Spring Road; North Boulevard; Ridge Road; Church Street; Willow Lane; Mill Road; Sunset Drive; Railroad Avenue; Jefferson Street; Center Street; Highland Avenue; Forest Drive; Meadow Lane; River Road; Pine Street; Chestnut Street; Franklin Avenue; Jackson Street; Adams Street; Dogwood Court"),
		number:  before, postal: 5,
		places: lines("New York,100,NY; Los Angeles,900,CA; Chicago,606,IL; Houston,770,TX; Phoenix,850,AZ; Philadelphia,191,PA; San Antonio,782,TX; San Diego,921,CA; Dallas,752,TX; Austin,787,TX; Columbus,432,OH; Charlotte,282,NC; Seattle,981,WA; Denver,802,CO; Boston,021,MA; Nashville,372,TN; Portland,972,OR; Memphis,381,TN; Baltimore,212,MD; Milwaukee,532,WI; Springfield,627,IL; Salem,973,OR"),
	},
	{
		code: "DE", stems: words("Acker Alten Bach Birken Brunn Buch Dorn Eber Eich Eisen Falken Feld Freud Gold Hagen Heiden Hirsch Hoch Holz Kalten Kess Kirch König Lauter Linden Mittel Mühl Nieder Ober Oster Reh Reichen Rosen Sand Schön Stein Stern Tann Thal Unter Vogel Wald Weiden Wein Wester Wiesen Winkel Ziegel"), ends: words("mann er bauer bach berg feld hofer huber meier müller ner reuter schmidt stein tal wald weger brandt hausen kamp"),
		calling: "49", trunk: "0", mobile: "17", digits: 8,
		women:   words("Maria Anna Ursula Monika Petra Elisabeth Sabine Renate Helga Karin Brigitte Ingrid Erika Andrea Gisela Claudia Susanne Gabriele Christa Christine Hildegard Anja Barbara Angelika Katharina Julia Stefanie Heike Birgit Martina Nicole Marion Silke Ute Kathrin Tanja Melanie Anke Ulrike Sandra Lena Laura Sarah Lisa Leonie Johanna Jana Franziska Bärbel Käthe Jördis"),
		men:     words("Peter Michael Thomas Andreas Wolfgang Klaus Jürgen Stefan Hans Günter Christian Frank Manfred Werner Martin Bernd Helmut Matthias Gerhard Dieter Horst Markus Uwe Alexander Karl Daniel Josef Walter Ralf Rainer Heinz Joachim Jan Sebastian Sven Tobias Florian Lukas Jonas Felix Maximilian Paul Leon Björn Jörg Götz Rüdiger"),
		family:  words("Müller Schmidt Schneider Fischer Weber Meyer Wagner Becker Schulz Hoffmann Schäfer Koch Bauer Richter Klein Wolf Schröder Neumann Schwarz Zimmermann Braun Krüger Hofmann Hartmann Lange Schmitt Werner Krause Lehmann Köhler Maier Schmid Meier Fuchs Schulze Lang Weiß Peters Scholz Jung Möller Hahn Keller Vogel Schubert Roth Frank Friedrich Beck Günther Berger Winkler Lorenz Baumann Schuster Kraus Böhm Simon Franke Albrecht Winter Ludwig Martin Krämer Schumacher Vogt Jäger Stein Otto Groß Sommer Haas Graf Heinrich Seidel Schreiber Ziegler Brandt Kuhn Schulte Dietrich Kühn Engel Pohl Horn Sauer Arnold Thomas Bergmann Busch Pfeiffer Voigt Götz Seifert Lindner Ernst Hübner Kramer Franz Beyer Wolff Peter Jansen Kern Barth Wenzel Hermann Ott Paul Riedel Wilhelm Hansen Nagel Grimm Lenz Ritter"),
		streets: lines("Hauptstraße; Schulstraße; Gartenstraße; Bahnhofstraße; Dorfstraße; Bergstraße; Birkenweg; Lindenstraße; Kirchstraße; Waldstraße; Ringstraße; Schillerstraße; Goethestraße; Amselweg; Jahnstraße; Feldstraße; Wiesenweg; Buchenweg; Am Sportplatz; Mühlenweg; Friedhofstraße; Blumenstraße; Rosenweg; Beethovenstraße; Eichenweg; Mozartstraße; Kirchplatz; Hermann-Löns-Weg"),
		number:  after, postal: 5,
		places: lines("Berlin,10,Berlin; Hamburg,20,Hamburg; München,80,Bayern; Köln,50,Nordrhein-Westfalen; Frankfurt am Main,60,Hessen; Stuttgart,70,Baden-Württemberg; Düsseldorf,40,Nordrhein-Westfalen; Leipzig,04,Sachsen; Dortmund,44,Nordrhein-Westfalen; Bremen,28,Bremen; Dresden,01,Sachsen; Hannover,30,Niedersachsen; Nürnberg,90,Bayern; Münster,48,Nordrhein-Westfalen; Lübeck,23,Schleswig-Holstein; Freiburg,79,Baden-Württemberg"),
	},
	{
		code: "ES", stems: words("Alar Aldun Aran Arce Azcár Balles Barr Bena Cald Cárd Cebr Corr Echev Esp Fig Gar Gond Güem Huert Jar Lizar Mad Mald Manr Oliv Pal Pal Pard Quint Riv Sal Sand Tej Uri Val Ver Villal Yáñ Zam Zúñ"), ends: words("ate edo era erría eta ez iaga ina inos ola ona osa ota uelo ueta ález arro azo"),
		calling: "34", mobile: "6", digits: 8, double: true,
		women:   lines("María Carmen; María; Carmen; Ana María; Laura; María Pilar; Cristina; Marta; María Dolores; Isabel; Josefa; Lucía; María José; Ana; Sara; Paula; Elena; Francisca; Raquel; Pilar; Rosa María; Mercedes; Julia; Beatriz; Nuria; Silvia; Rocío; Patricia; Alba; Irene; Andrea; Sofía; Mónica; Teresa; Inés; Begoña"),
		men:     lines("Antonio; Manuel; José; Francisco; David; Juan; Javier; Daniel; José Antonio; Francisco Javier; José Luis; Carlos; Alejandro; Jesús; José Manuel; Miguel; Miguel Ángel; Pablo; Rafael; Sergio; Ángel; Pedro; Fernando; Jorge; José María; Luis; Alberto; Álvaro; Juan Carlos; Adrián; Diego; Raúl; Iván; Rubén; Enrique; Óscar; Íñigo"),
		family:  words("García Rodríguez González Fernández López Martínez Sánchez Pérez Gómez Martín Jiménez Hernández Ruiz Díaz Moreno Muñoz Álvarez Romero Gutiérrez Alonso Navarro Torres Domínguez Ramos Vázquez Ramírez Gil Serrano Morales Molina Blanco Suárez Castro Ortega Delgado Ortiz Marín Rubio Núñez Medina Sanz Castillo Iglesias Cortés Garrido Santos Guerrero Lozano Cano Cruz Méndez Flores Prieto Herrera Peña León Márquez Cabrera Gallego Calvo Vidal Campos Reyes Vega Fuentes Carrasco Díez Aguilar Caballero Nieto Santana Vargas Pascual Giménez Hidalgo Montero Lorenzo Santiago Benítez Durán Ibáñez Arias Mora Ferrer Carmona Vicente Rojas Soto Crespo Román Pastor Velasco Parra Sáez Moya Bravo Rivera Gallardo Soler"),
		streets: lines("Calle Mayor; Calle Real; Calle Nueva; Avenida de la Constitución; Calle del Sol; Plaza de España; Calle San Juan; Avenida de Andalucía; Calle de la Iglesia; Paseo de la Castellana; Calle Cervantes; Calle Goya; Calle Velázquez; Avenida de América; Calle San José; Calle Santa María; Calle del Carmen; Ronda de Toledo; Camino Viejo; Calle Alcalá; Travesía del Río"),
		number:  after, postal: 5,
		places: lines("Madrid,28,Madrid; Barcelona,08,Barcelona; Valencia,46,Valencia; Sevilla,41,Sevilla; Zaragoza,50,Zaragoza; Málaga,29,Málaga; Murcia,30,Murcia; Palma,07,Illes Balears; Bilbao,48,Bizkaia; Alicante,03,Alicante; Córdoba,14,Córdoba; Valladolid,47,Valladolid; Vigo,36,Pontevedra; Gijón,33,Asturias; Granada,18,Granada; A Coruña,15,A Coruña"),
	},
	{
		code: "PL", stems: words("Bart Biel Bog Bron Brz Cich Czajk Dob Dyb Fil Gaj Graj Jag Jar Kal Karp Kos Kow Krup Lip Mal Mar Mich Miel Mły Niem Ol Pacz Piech Rad Rog Sad Siem Skib Sob Stan Szym Świd Tar Urb Walk War Wierz Zar Zbor Żur"), ends: words("owski iński ecki czyk ak icki arski ański alski oń"),
		calling: "48", mobile: "5", digits: 8, feminine: true,
		women:   words("Anna Maria Katarzyna Małgorzata Agnieszka Barbara Ewa Krystyna Magdalena Elżbieta Joanna Aleksandra Zofia Monika Teresa Danuta Natalia Karolina Marta Julia Beata Dorota Janina Jadwiga Alicja Jolanta Iwona Halina Grażyna Paulina Justyna Zuzanna Hanna Renata Wiktoria Urszula Bożena Agata Sylwia Weronika Oliwia Łucja Żaneta"),
		men:     words("Piotr Krzysztof Andrzej Tomasz Jan Paweł Michał Marcin Jakub Adam Stanisław Marek Łukasz Grzegorz Mateusz Wojciech Mariusz Dariusz Zbigniew Jerzy Maciej Rafał Robert Józef Kamil Jacek Tadeusz Ryszard Szymon Kacper Bartosz Dawid Janusz Jarosław Artur Sebastian Przemysław Sławomir Henryk Mirosław Patryk Damian Czesław Żegota"),
		family:  words("Nowak Kowalski Wiśniewski Wójcik Kowalczyk Kamiński Lewandowski Zieliński Szymański Woźniak Dąbrowski Kozłowski Mazur Jankowski Kwiatkowski Wojciechowski Krawczyk Kaczmarek Piotrowski Grabowski Zając Pawłowski Michalski Król Wieczorek Jabłoński Wróbel Nowakowski Majewski Olszewski Stępień Malinowski Jaworski Adamczyk Dudek Nowicki Pawlak Górski Witkowski Walczak Sikora Baran Rutkowski Michalak Szewczyk Ostrowski Tomaszewski Pietrzak Zalewski Wróblewski Marciniak Jasiński Zawadzki Bąk Jakubowski Sadowski Duda Włodarczyk Wilk Chmielewski Borkowski Sokołowski Szczepański Sawicki Kucharski Lis Maciejewski Kubiak Kalinowski Mazurek Wysocki Kołodziej Kaźmierczak Czarnecki Konieczny Urban Głowacki Sobczak Zakrzewski Krajewski Laskowski Wasilewski Ziółkowski"),
		streets: lines("ul. Polna; ul. Leśna; ul. Słoneczna; ul. Krótka; ul. Szkolna; ul. Ogrodowa; ul. Lipowa; ul. Łąkowa; ul. Brzozowa; ul. Kwiatowa; ul. Kościelna; ul. Sosnowa; ul. Zielona; ul. Parkowa; ul. Akacjowa; ul. Kolejowa; ul. Mickiewicza; ul. Sienkiewicza; ul. Kościuszki; al. Jana Pawła II; pl. Wolności; os. Tysiąclecia; ul. Żeromskiego; ul. Warszawska"),
		number:  after, postal: 5,
		places: lines("Warszawa,00,mazowieckie; Kraków,30,małopolskie; Łódź,90,łódzkie; Wrocław,50,dolnośląskie; Poznań,60,wielkopolskie; Gdańsk,80,pomorskie; Szczecin,70,zachodniopomorskie; Bydgoszcz,85,kujawsko-pomorskie; Lublin,20,lubelskie; Białystok,15,podlaskie; Katowice,40,śląskie; Gdynia,81,pomorskie; Częstochowa,42,śląskie; Rzeszów,35,podkarpackie; Toruń,87,kujawsko-pomorskie"),
	},
	{
		code: "RU", stems: words("Авдот Агаф Бабк Берёз Бык Вереск Верш Глад Голуб Горш Гриб Дрозд Дубр Ерм Жар Журавл Заб Звер Зим Игнат Капуст Кириян Кожевник Колес Корш Кочет Лапт Лукьян Малин Мельн Наум Овчинник Панкр Пест Погод Рыб Сафон Сит Сквор Столяр Терент Трифон Устин Хар Хохл Черк Шап Щерб Яков"), ends: words("ов ев ин енков овин"),
		calling: "7", trunk: "8", mobile: "9", digits: 9, feminine: true,
		women:   words("Елена Ольга Наталья Анна Татьяна Ирина Мария Светлана Екатерина Анастасия Юлия Людмила Галина Александра Валентина Надежда Дарья Марина Виктория Любовь Нина Ксения Лариса Вера Алина Евгения Полина Софья Оксана Тамара"),
		men:     words("Александр Сергей Дмитрий Андрей Алексей Максим Евгений Иван Михаил Николай Владимир Артём Илья Роман Павел Виктор Юрий Кирилл Никита Олег Игорь Антон Денис Константин Виталий Василий Егор Фёдор Григорий Пётр Борис"),
		family:  words("Иванов Смирнов Кузнецов Попов Васильев Петров Соколов Михайлов Новиков Фёдоров Морозов Волков Алексеев Лебедев Семёнов Егоров Павлов Козлов Степанов Николаев Орлов Андреев Макаров Никитин Захаров Зайцев Соловьёв Борисов Яковлев Григорьев Романов Воробьёв Сергеев Кузьмин Фролов Александров Дмитриев Королёв Гусев Киселёв Ильин Максимов Поляков Сорокин Виноградов Ковалёв Белов Медведев Антонов Тарасов Жуков Баранов Филиппов Комаров Давыдов Беляев Герасимов Богданов Осипов Сидоров Матвеев Титов Марков Миронов Крылов Куликов Карпов Власов Мельников Денисов Гаврилов Тихонов Казаков Афанасьев Данилов Савельев Тимофеев Фомин"),
		streets: lines("ул. Центральная; ул. Молодёжная; ул. Школьная; ул. Лесная; ул. Садовая; ул. Советская; ул. Новая; ул. Набережная; ул. Заречная; ул. Зелёная; ул. Мира; ул. Ленина; ул. Полевая; ул. Луговая; ул. Октябрьская; ул. Комсомольская; ул. Гагарина; ул. Первомайская; пр-т Победы; пер. Северный; ул. Пушкина; ул. Кирова"),
		number:  func(s, n string) string { return s + ", д. " + n }, postal: 6,
		places: lines("Москва,12,Москва; Санкт-Петербург,19,Санкт-Петербург; Новосибирск,63,Новосибирская область; Екатеринбург,62,Свердловская область; Казань,42,Татарстан; Нижний Новгород,60,Нижегородская область; Челябинск,45,Челябинская область; Самара,44,Самарская область; Омск,64,Омская область; Ростов-на-Дону,34,Ростовская область; Уфа,45,Башкортостан; Красноярск,66,Красноярский край; Пермь,61,Пермский край; Воронеж,39,Воронежская область"),
	},
	{
		code: "CN", calling: "86", trunk: "", mobile: "1", digits: 10, familyTop: true,
		women:   lines("秀英=Xiuying; 桂英=Guiying; 秀兰=Xiulan; 玉兰=Yulan; 婷婷=Tingting; 静=Jing; 敏=Min; 燕=Yan; 丽=Li; 芳=Fang; 娜=Na; 艳=Yan; 雪梅=Xuemei; 欣怡=Xinyi; 梓涵=Zihan; 诗涵=Shihan; 佳怡=Jiayi; 雨桐=Yutong; 思雨=Siyu; 晓红=Xiaohong; 美玲=Meiling; 慧=Hui; 莹=Ying; 倩=Qian; 若曦=Ruoxi"),
		men:     lines("伟=Wei; 强=Qiang; 磊=Lei; 军=Jun; 洋=Yang; 勇=Yong; 杰=Jie; 涛=Tao; 明=Ming; 超=Chao; 建国=Jianguo; 建华=Jianhua; 志强=Zhiqiang; 浩宇=Haoyu; 浩然=Haoran; 宇轩=Yuxuan; 子轩=Zixuan; 俊杰=Junjie; 文博=Wenbo; 国强=Guoqiang; 海涛=Haitao; 鹏=Peng; 飞=Fei; 刚=Gang; 天宇=Tianyu"),
		family:  lines("王=Wang; 李=Li; 张=Zhang; 刘=Liu; 陈=Chen; 杨=Yang; 黄=Huang; 赵=Zhao; 吴=Wu; 周=Zhou; 徐=Xu; 孙=Sun; 马=Ma; 朱=Zhu; 胡=Hu; 郭=Guo; 何=He; 高=Gao; 林=Lin; 罗=Luo; 郑=Zheng; 梁=Liang; 谢=Xie; 宋=Song; 唐=Tang; 许=Xu; 韩=Han; 冯=Feng; 邓=Deng; 曹=Cao; 彭=Peng; 曾=Zeng; 肖=Xiao; 田=Tian; 董=Dong; 袁=Yuan; 潘=Pan; 于=Yu; 蒋=Jiang; 蔡=Cai; 余=Yu; 杜=Du; 叶=Ye; 程=Cheng; 苏=Su; 魏=Wei; 吕=Lü; 丁=Ding; 任=Ren; 沈=Shen"),
		streets: lines("人民路; 中山路; 解放路; 建设路; 新华路; 和平路; 文化路; 光明路; 东风路; 北京路; 胜利街; 幸福街; 学院路; 长江路; 黄河路; 迎宾大道; 朝阳街; 公园路; 府前街; 湖滨路"),
		number:  func(s, n string) string { return s + n + "号" }, postal: 6,
		places: lines("北京,10,北京; 上海,20,上海; 广州,51,广东; 深圳,51,广东; 成都,61,四川; 重庆,40,重庆; 天津,30,天津; 武汉,43,湖北; 西安,71,陕西; 杭州,31,浙江; 南京,21,江苏; 沈阳,11,辽宁; 青岛,26,山东; 长沙,41,湖南"),
	},
}

// short are forms of given names that people use among friends, by the name in full.
var short = map[string][]string{
	"Patricia": {"Pat", "Patty", "Tricia"}, "Jennifer": {"Jen", "Jenny"}, "Elizabeth": {"Liz", "Beth", "Betty", "Lizzie"}, "Barbara": {"Barb"}, "Susan": {"Sue", "Susie"},
	"Jessica": {"Jess", "Jessie"}, "Sarah": {"Sally"}, "Margaret": {"Maggie", "Peggy", "Meg"}, "Kimberly": {"Kim"}, "Michelle": {"Shelly"}, "Amanda": {"Mandy"}, "Melissa": {"Missy"},
	"Deborah": {"Debbie", "Deb"}, "Stephanie": {"Steph"}, "Rebecca": {"Becky"}, "Katherine": {"Kate", "Kathy", "Katie"}, "Catherine": {"Cathy", "Kate"}, "Christine": {"Chris", "Tina"},
	"Samantha": {"Sam"}, "Pamela": {"Pam"}, "Virginia": {"Ginny"}, "Victoria": {"Vicky"}, "Jacqueline": {"Jackie"}, "Theresa": {"Terry"}, "Judith": {"Judy"}, "Abigail": {"Abby"},
	"James": {"Jim", "Jimmy"}, "Robert": {"Bob", "Rob", "Bobby"}, "John": {"Jack", "Johnny"}, "Michael": {"Mike", "Mick"}, "David": {"Dave"}, "William": {"Bill", "Will", "Billy"},
	"Richard": {"Rick", "Dick"}, "Joseph": {"Joe"}, "Thomas": {"Tom", "Tommy"}, "Christopher": {"Chris"}, "Charles": {"Charlie", "Chuck"}, "Daniel": {"Dan", "Danny"}, "Matthew": {"Matt"},
	"Anthony": {"Tony"}, "Donald": {"Don"}, "Steven": {"Steve"}, "Andrew": {"Andy", "Drew"}, "Joshua": {"Josh"}, "Kenneth": {"Ken"}, "Timothy": {"Tim"}, "Edward": {"Ed", "Ted"},
	"Jeffrey": {"Jeff"}, "Nicholas": {"Nick"}, "Jonathan": {"Jon"}, "Stephen": {"Steve"}, "Benjamin": {"Ben"}, "Samuel": {"Sam"}, "Gregory": {"Greg"}, "Alexander": {"Alex", "Sascha"},
	"Raymond": {"Ray"}, "Lawrence": {"Larry"}, "Zachary": {"Zach"}, "Douglas": {"Doug"}, "Peter": {"Pete"}, "Gerald": {"Jerry"}, "Bradley": {"Brad"},
	"Katharina": {"Kathi", "Käthe"}, "Elisabeth": {"Lisa", "Elli", "Sissi"}, "Johanna": {"Hanna"}, "Franziska": {"Franzi"}, "Stefanie": {"Steffi"}, "Gabriele": {"Gabi"}, "Susanne": {"Susi"},
	"Maximilian": {"Max"}, "Sebastian": {"Basti"}, "Wolfgang": {"Wolf"}, "Matthias": {"Matze"}, "Josef": {"Sepp"}, "Johannes": {"Hannes"}, "Manfred": {"Manni"},
	"Francisco": {"Paco", "Fran"}, "José": {"Pepe"}, "Francisca": {"Paqui"}, "Josefa": {"Pepa"}, "Dolores": {"Lola"}, "Manuel": {"Manolo"}, "Antonio": {"Toni"}, "María José": {"Marisé"},
	"Jesús": {"Chus"}, "Rafael": {"Rafa"}, "Alejandro": {"Álex"}, "Enrique": {"Quique"}, "Pilar": {"Pili"}, "Mercedes": {"Merche"}, "Beatriz": {"Bea"}, "José María": {"Chema"},
	"Katarzyna": {"Kasia"}, "Małgorzata": {"Gosia"}, "Agnieszka": {"Aga"}, "Magdalena": {"Magda"}, "Elżbieta": {"Ela"}, "Joanna": {"Asia"}, "Aleksandra": {"Ola"}, "Krzysztof": {"Krzysiek"},
	"Tomasz": {"Tomek"}, "Stanisław": {"Staszek"}, "Grzegorz": {"Grzesiek"}, "Jakub": {"Kuba"}, "Zuzanna": {"Zuza"}, "Wojciech": {"Wojtek"}, "Andrzej": {"Jędrek"}, "Piotr": {"Piotrek"},
	"Александр": {"Саша", "Шура"}, "Александра": {"Саша"}, "Дмитрий": {"Дима"}, "Сергей": {"Серёжа"}, "Наталья": {"Наташа"}, "Татьяна": {"Таня"}, "Екатерина": {"Катя"}, "Мария": {"Маша"},
	"Анастасия": {"Настя"}, "Алексей": {"Лёша"}, "Евгений": {"Женя"}, "Михаил": {"Миша"}, "Владимир": {"Вова", "Володя"}, "Иван": {"Ваня"}, "Николай": {"Коля"}, "Елена": {"Лена"}, "Ольга": {"Оля"},
}

var latin = strings.NewReplacer("а", "a", "б", "b", "в", "v", "г", "g", "д", "d", "е", "e", "ё", "e", "ж", "zh", "з", "z", "и", "i", "й", "y", "к", "k", "л", "l", "м", "m", "н", "n", "о", "o", "п", "p",
	"р", "r", "с", "s", "т", "t", "у", "u", "ф", "f", "х", "kh", "ц", "ts", "ч", "ch", "ш", "sh", "щ", "shch", "ъ", "", "ы", "y", "ь", "", "э", "e", "ю", "yu", "я", "ya",
	"А", "A", "Б", "B", "В", "V", "Г", "G", "Д", "D", "Е", "E", "Ё", "E", "Ж", "Zh", "З", "Z", "И", "I", "Й", "Y", "К", "K", "Л", "L", "М", "M", "Н", "N", "О", "O", "П", "P",
	"Р", "R", "С", "S", "Т", "T", "У", "U", "Ф", "F", "Х", "Kh", "Ц", "Ts", "Ч", "Ch", "Ш", "Sh", "Щ", "Shch", "Ы", "Y", "Э", "E", "Ю", "Yu", "Я", "Ya",
	"ß", "ss", "ł", "l", "Ł", "L", "ø", "o", "Ø", "O")
