#!/usr/bin/env python3
"""Writes names and addresses of many languages, a file a language, from which the models of package charset are made and tested.

usage: pip install faker==40.63.0; corpora.py FOLDER
A line is: given name, family name, street, city, company, separated by tabs, in UTF-8. The data are those of Faker (MIT licence)."""
import os
import sys

from faker import Faker

LOCALES = {
    "ar": ["ar_SA", "ar_EG", "ar_AA"], "az": ["az_AZ"], "bg": ["bg_BG"], "bs": ["bs_BA"], "cs": ["cs_CZ"], "da": ["da_DK"],
    "de": ["de_DE", "de_AT", "de_CH"], "el": ["el_GR"], "en": ["en_US", "en_GB"], "es": ["es_ES", "es_MX", "es_CL"], "et": ["et_EE"],
    "fa": ["fa_IR"], "fi": ["fi_FI"], "fr": ["fr_FR", "fr_CA", "fr_CH"], "ga": ["ga_IE"], "he": ["he_IL"], "hr": ["hr_HR"], "hu": ["hu_HU"],
    "is": ["is_IS"], "it": ["it_IT"], "ja": ["ja_JP"], "ko": ["ko_KR"], "lt": ["lt_LT"], "lv": ["lv_LV"], "mk": ["mk_MK"], "nl": ["nl_NL"],
    "no": ["no_NO"], "pl": ["pl_PL"], "pt": ["pt_PT", "pt_BR"], "ro": ["ro_RO"], "ru": ["ru_RU"], "sk": ["sk_SK"], "sl": ["sl_SI"],
    "sq": ["sq_AL"], "sr": ["sr_BA"], "sv": ["sv_SE"], "th": ["th_TH"], "tr": ["tr_TR"], "uk": ["uk_UA"], "vi": ["vi_VN"],
    "zh-Hans": ["zh_CN"], "zh-Hant": ["zh_TW"],
}
ROWS = 6000


def row(fake):
    given = fake.first_name_female() if fake.random.random() < 0.5 else fake.first_name_male()
    cells = [given, fake.last_name(), fake.street_address(), fake.city(), fake.company()]
    return "\t".join(" ".join(c.split()) for c in cells)


for language, locales in LOCALES.items():
    rows = []
    for locale in locales:
        fake = Faker(locale)
        fake.seed_instance(20261125)
        rows += [row(fake) for _ in range(ROWS // len(locales))]
    with open(os.path.join(sys.argv[1], language + ".tsv"), "w", encoding="utf-8") as out:
        out.write("\n".join(dict.fromkeys(rows)) + "\n")
