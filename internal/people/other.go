package people

import (
	"encoding/csv"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
)

// Other is a kind of file that has nothing in common with those of Kinds: other columns, names of other countries, other things than persons, and
// errors of its own. Matching was made with the others in mind, and is measured with these.
type Other struct {
	Name    string
	Columns []string
	// Repeats is how many more records than one somebody has in the mean.
	Repeats float64
	// make returns a new one's cells, and spoil what another record of the same has.
	make  func(r *rand.Rand) []string
	spoil func(r *rand.Rand, row []string)
	// clean says that the first record is not spoiled.
	clean bool
}

// Write writes a file of about so many records, in any order, and for each record a line "id,entity" to truth.
func (o *Other) Write(w, truth io.Writer, records int, seed uint64) error {
	r := rand.New(rand.NewPCG(seed, 77))
	type record struct {
		entity int
		row    []string
	}
	var all []record
	for entity := 0; len(all) < records; entity++ {
		row := o.make(r)
		n := 1
		for more := o.Repeats; r.Float64() < more; more *= 0.6 {
			n++
		}
		for k := range n {
			cells := append([]string(nil), row...)
			if k > 0 || !o.clean {
				o.spoil(r, cells)
			}
			all = append(all, record{entity, cells})
		}
	}
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	out := csv.NewWriter(w)
	if err := out.Write(append([]string{"id"}, o.Columns...)); err != nil {
		return err
	}
	for i, rec := range all {
		key := fmt.Sprintf("%d", 100000+i)
		if err := out.Write(append([]string{key}, rec.row...)); err != nil {
			return err
		}
		if _, err := fmt.Fprintf(truth, "%s,%d\n", key, rec.entity); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// chance says yes so many times of a hundred.
func chance(r *rand.Rand, percent float64) bool { return r.Float64()*100 < percent }

// slip makes one error in a text: any letter replaced, left out, put in, or exchanged with the next.
func slip(r *rand.Rand, s string) string {
	letters := []rune(s)
	if len(letters) < 2 {
		return s
	}
	at := r.IntN(len(letters))
	other := letters[r.IntN(len(letters))]
	switch k := r.IntN(4); {
	case k == 0:
		letters[at] = other
	case k == 1:
		letters = append(letters[:at], letters[at+1:]...)
	case k == 2 && at+1 < len(letters):
		letters[at], letters[at+1] = letters[at+1], letters[at]
	default:
		letters = append(letters[:at], append([]rune{other}, letters[at:]...)...)
	}
	return string(letters)
}

func slips(r *rand.Rand, row []string, percent float64) {
	for c := range row {
		if chance(r, percent) {
			row[c] = slip(r, row[c])
		}
	}
}

func empties(r *rand.Rand, row []string, percent float64) {
	for c := range row {
		if chance(r, percent) {
			row[c] = ""
		}
	}
}

// zipf picks from a list whose first entries are much more common.
func zipf(r *rand.Rand, from []string) string {
	f := r.Float64()
	return from[int(float64(len(from))*f*f*f)]
}

func digits(r *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = '0' + byte(r.IntN(10))
	}
	return string(b)
}

// invented is a name or word made of syllables, of which there are many.
func invented(r *rand.Rand, from []string, least, most int) string {
	s := ""
	for range least + r.IntN(most-least+1) {
		s += pick(r, from)
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

func day(r *rand.Rand, from, to int) string {
	return fmt.Sprintf("%04d-%02d-%02d", from+r.IntN(to-from), 1+r.IntN(12), 1+r.IntN(28))
}

var (
	syllables   = words("ba be bi bo ca co cu da de do el en er fa fi fo ga gra hel in ka ki la le li lo lu ma me mi mo na ne ni no or pa pe pi po ra re ri ro sa se si so ta te ti to tra un va ve vi vo wa xi ya ze zo")
	trades      = words("Construction Plumbing Electric Logistics Bakery Consulting Software Transport Foods Hardware Motors Dental Insurance Travel Printing Textiles Roofing Cleaning Security Media")
	legal       = []string{"Inc.", "LLC", "Ltd", "GmbH", "Corp.", "Co.", "S.A.", "Limited", "Incorporated", ""}
	townNames   = words("Springfield Franklin Clinton Greenville Bristol Fairview Salem Madison Georgetown Arlington Ashland Dover Oxford Jackson Burlington Manchester Milton Newport Auburn Centerville Clayton Dayton Lexington Milford Riverside Cleveland Winchester Hudson Kingston Mount-Vernon Oakland")
	roadNames   = words("Oak Maple Cedar Pine Elm Washington Lake Hill Walnut Spring North Ridge Church Willow Mill Sunset Railroad Jefferson Center Highland Forest Jackson River Dogwood Lincoln Park Chestnut Cherry")
	indianGiven = words("Rahul Amit Priya Sunita Rajesh Suresh Anita Pooja Vijay Sanjay Deepak Neha Ravi Kavita Manoj Rekha Arun Lakshmi Ramesh Geeta Ashok Meena Vinod Asha Anil Shanti Mukesh Radha Dinesh Usha Prakash Sita Ganesh Kiran Mahesh Jyoti Krishna Divya Mohan Swati Harish Nisha Naveen Ritu Satish Seema Gopal Shweta Kumar Pallavi Venkatesh Lalitha Srinivas Padma Murugan Selvi Balaji Revathi Karthik Deepa")
	indianLast  = words("Kumar Singh Sharma Devi Patel Gupta Reddy Rao Verma Das Khan Yadav Jain Nair Shah Mishra Iyer Joshi Pillai Mehta Agarwal Choudhary Naidu Bose Menon Desai Chatterjee Banerjee Kulkarni Patil Shetty Pandey Tiwari Thakur Saxena Sinha Malhotra Kapoor Chopra Bhat")
	arabGiven   = lines("محمد=Mohammed|Muhammad|Mohamed|Mohammad; أحمد=Ahmed|Ahmad; علي=Ali|Aly; عمر=Omar|Umar; خالد=Khaled|Khalid; يوسف=Youssef|Yusuf|Yousef; حسن=Hassan|Hasan; حسين=Hussein|Hussain|Husayn; إبراهيم=Ibrahim|Ebrahim; محمود=Mahmoud|Mahmud; فاطمة=Fatima|Fatimah|Fatma; عائشة=Aisha|Aysha|Ayesha; مريم=Maryam|Mariam; زينب=Zainab|Zeinab|Zaynab; خديجة=Khadija|Khadijah; نورة=Noura|Nora|Norah; سارة=Sara|Sarah; ليلى=Layla|Leila|Laila; عبد الله=Abdullah|Abdallah|Abd Allah; عبد الرحمن=Abdulrahman|Abdelrahman|Abd al-Rahman; سعيد=Saeed|Said|Saïd; مصطفى=Mustafa|Mostafa; طارق=Tariq|Tarek; هدى=Huda|Hoda; رانيا=Rania|Raniya; سلمى=Salma|Selma; كريم=Karim|Kareem; جمال=Jamal|Gamal; نادية=Nadia|Nadya; سمير=Samir|Sameer")
	arabLast    = lines("العلي=Al-Ali|Alali|El Ali; الحسن=Al-Hassan|Alhasan|El-Hassan; المصري=Al-Masri|El Masry|Elmasry; الشريف=Al-Sharif|El Sherif|Alshareef; حداد=Haddad|Hadad; خوري=Khoury|Khouri|Khuri; نصار=Nassar|Nasser; سالم=Salem|Salim; منصور=Mansour|Mansoor; القحطاني=Al-Qahtani|Alkahtani|Al Qahtany; العتيبي=Al-Otaibi|Alotaibi|Al Utaibi; الغامدي=Al-Ghamdi|Alghamdi; الزهراني=Al-Zahrani|Alzahrani; فاروق=Farouk|Farouq|Faruq; عثمان=Osman|Othman|Uthman; بن سعيد=Ben Said|Bensaid|Bin Saeed; رمضان=Ramadan|Ramadhan; شاهين=Shaheen|Chahine|Shahin; بكر=Bakr|Bakir; السيد=El-Sayed|Al-Sayyid|Elsayed; عباس=Abbas; حمدان=Hamdan; قاسم=Qasim|Kassem|Kasim; زيدان=Zidan|Zeidan; طه=Taha; مراد=Murad|Mourad")
	japanGiven  = lines("太郎=Taro; 健太=Kenta; 翔太=Shota; 大輔=Daisuke; 直樹=Naoki; 拓也=Takuya; 健一=Kenichi; 和也=Kazuya; 誠=Makoto; 浩=Hiroshi; 花子=Hanako; 美咲=Misaki; 陽子=Yoko; 恵子=Keiko; 由美子=Yumiko; 久美子=Kumiko; 裕子=Yuko; 真由美=Mayumi; 愛=Ai; 舞=Mai; 遥=Haruka; 智子=Tomoko; 隆=Takashi; 修=Osamu; 雄一=Yuichi; 結衣=Yui; 葵=Aoi; 蓮=Ren; 悠斗=Yuto; 陽菜=Hina")
	japanLast   = lines("佐藤=Sato; 鈴木=Suzuki; 高橋=Takahashi; 田中=Tanaka; 伊藤=Ito; 渡辺=Watanabe; 山本=Yamamoto; 中村=Nakamura; 小林=Kobayashi; 加藤=Kato; 吉田=Yoshida; 山田=Yamada; 佐々木=Sasaki; 山口=Yamaguchi; 松本=Matsumoto; 井上=Inoue; 木村=Kimura; 林=Hayashi; 斎藤=Saito; 清水=Shimizu; 山崎=Yamazaki; 森=Mori; 池田=Ikeda; 橋本=Hashimoto; 阿部=Abe; 石川=Ishikawa; 前田=Maeda; 藤田=Fujita; 小川=Ogawa; 後藤=Goto; 岡田=Okada; 長谷川=Hasegawa; 村上=Murakami; 近藤=Kondo; 石井=Ishii; 坂本=Sakamoto; 遠藤=Endo; 青木=Aoki")
	japanCity   = words("東京都新宿区 東京都渋谷区 大阪府大阪市北区 神奈川県横浜市西区 愛知県名古屋市中区 北海道札幌市中央区 福岡県福岡市博多区 京都府京都市左京区 兵庫県神戸市中央区 宮城県仙台市青葉区")
	englishMen  = words("James John Robert Michael William David Richard Joseph Thomas Charles Christopher Daniel Matthew Anthony Mark Donald Steven Paul Andrew Joshua Kenneth Kevin Brian George Edward Ronald Timothy Jason Jeffrey Ryan Jacob Gary Nicholas Eric Stephen Jonathan Larry Justin Scott Brandon Frank Benjamin Gregory Samuel Raymond Patrick Alexander Jack Dennis Jerry Mary Patricia Linda Barbara Elizabeth Jennifer Maria Susan Margaret Dorothy Lisa Nancy Karen Betty Helen Sandra Donna Carol Ruth Sharon Michelle Laura Sarah Kimberly Deborah Jessica Shirley Cynthia Angela Melissa Brenda Amy Anna Rebecca Virginia Kathleen Pamela Martha Debra Amanda Stephanie Carolyn Christine")
	shortOf     = map[string]string{"James": "Jim", "John": "Jack", "Robert": "Bob", "Michael": "Mike", "William": "Bill", "David": "Dave", "Richard": "Dick", "Joseph": "Joe", "Thomas": "Tom", "Charles": "Chuck", "Christopher": "Chris", "Daniel": "Dan", "Matthew": "Matt", "Anthony": "Tony", "Steven": "Steve", "Andrew": "Andy", "Elizabeth": "Liz", "Jennifer": "Jen", "Susan": "Sue", "Margaret": "Peggy", "Patricia": "Pat", "Barbara": "Barb"}
)

// forms returns one of the ways a name is written: in its own script, or in Latin letters.
func forms(r *rand.Rand, name string, own float64) string {
	script, rest, _ := strings.Cut(name, "=")
	if chance(r, own) {
		return script
	}
	return pick(r, strings.Split(rest, "|"))
}

func surname(r *rand.Rand) string {
	if chance(r, 35) {
		return zipf(r, countries[0].family)
	}
	return invented(r, syllables, 2, 3) + pick(r, []string{"n", "son", "man", "ley", "field", "s", "er", "t", "well", "by"})
}

func mailOf(r *rand.Rand, given, family string) string {
	given, family = mailName(given), mailName(family)
	switch r.IntN(5) {
	case 0:
		return given + "." + family + "@" + pick(r, providers)
	case 1:
		return given[:min(1, len(given))] + family + digits(r, 2) + "@" + pick(r, providers)
	case 2:
		return strings.ToLower(invented(r, syllables, 3, 5)) + digits(r, 2) + "@" + pick(r, providers)
	case 3:
		return family + given + digits(r, 4) + "@" + pick(r, providers)
	}
	return given + digits(r, 3) + "@" + pick(r, providers)
}

func roadOf(r *rand.Rand) string {
	return fmt.Sprint(1+r.IntN(1500)) + " " + pick(r, roadNames) + " " + pick(r, words("Street Avenue Road Drive Lane Court"))
}

// zipOf is a postal code of a town.
func zipOf(r *rand.Rand, town string) string {
	h := 0
	for _, b := range town {
		h = h*31 + int(b)
	}
	return fmt.Sprintf("%05d", 10000+(h%8000+8000)%8000*10+r.IntN(8))
}

// Others are the kinds.
func Others() []Other {
	return []Other{
		firmsOnly(), firmsAndContacts(), indians(), arabs(), japanese(), addressesOnly(), products(), songs(), manySources(), yearsOnly(), mailsOnly(), wrongNumbers(), longTail(), lowerCase(),
		voters(), patients(), namesOnly(), loyalty(),
	}
}
