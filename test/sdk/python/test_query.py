"""Searching as a person types, and listing and exporting whole domains: additions, called through boto3 with model/additions.json."""
import time

import pytest
from botocore.exceptions import ClientError

from conftest import run_job, summary
from test_additions import kith  # noqa: F401  (a fixture)

FIELDS = {
    "id": {"Source": "_source.id", "Target": "_profile.AccountNumber"},
    "first": {"Source": "_source.first", "Target": "_profile.FirstName"},
    "last": {"Source": "_source.last", "Target": "_profile.LastName"},
    "mail": {"Source": "_source.mail", "Target": "_profile.EmailAddress", "ContentType": "EMAIL_ADDRESS"},
    "phone": {"Source": "_source.phone", "Target": "_profile.PhoneNumber", "ContentType": "PHONE_NUMBER"},
    "city": {"Source": "_source.city", "Target": "_profile.Address.City"},
}
FILE = b"""id,first,last,mail,phone,city
A-1,Maria,Smith,maria@x.com,+12065550100,Oslo
A-2,Mary,Smithson,mary@x.com,+12065550199,Bergen
A-3,Mario,Smyth,m.smyth@x.com,+4930123456,Oslo
A-4,Jos\xc3\xa9,O'Brien,jose@x.com,,Oslo
"""


def found(kith, domain, text):
    return [i["Profile"]["AccountNumber"] for i in kith.query_profiles(DomainName=domain, Text=text)["Items"]]


def until(what, ok, seconds=60):
    deadline = time.time() + seconds
    while time.time() < deadline:
        if ok():
            return
        time.sleep(0.05)
    raise AssertionError(f"it does not come about: {what}")


@pytest.fixture
def filled(client, kith, domain):
    assert summary(run_job(client, domain, FIELDS, "id", FILE)) == (4, 0, 0)
    return domain


def test_query_is_off_until_it_is_turned_on(kith, filled):
    assert kith.get_query_settings(DomainName=filled)["Status"] == "OFF"
    with pytest.raises(ClientError) as e:
        kith.query_profiles(DomainName=filled, Text="smith")
    assert e.value.response["Error"]["Code"] == "BadRequestException"
    assert "PutQuerySettings" in e.value.response["Error"]["Message"]

    assert kith.put_query_settings(DomainName=filled, Enabled=True)["Enabled"] is True
    until("READY", lambda: kith.get_query_settings(DomainName=filled)["Status"] == "READY")
    assert kith.get_query_settings(DomainName=filled)["IndexedProfiles"] == 4
    assert found(kith, filled, "smith")[0] == "A-1"

    kith.put_query_settings(DomainName=filled, Enabled=False)
    with pytest.raises(ClientError):
        kith.query_profiles(DomainName=filled, Text="smith")


@pytest.mark.parametrize("text,want", [
    ("smith", ["A-1", "A-2", "A-3"]),  # exactly, as a beginning, with a typo
    ("smiht maria", ["A-1", "A-3"]),  # swapped letters; Mario is a letter from Maria
    ("mari", ["A-1", "A-3", "A-2"]),  # beginnings before typos
    ("5550", ["A-1", "A-2"]),  # part of a phone number
    ("(206) 555-0199", ["A-2"]),
    ("m.smyth@", ["A-3"]),
    ("obrien oslo", ["A-4"]),
    ("jose", ["A-4"]),
    ("a-3", ["A-3"]),
    ("maria bergen", ["A-2"]),  # Mary, two letters away
    ("maria lima", []),
])
def test_query_finds(kith, filled, text, want):
    kith.put_query_settings(DomainName=filled, Enabled=True)
    until("READY", lambda: kith.get_query_settings(DomainName=filled)["Status"] == "READY")
    got = found(kith, filled, text)
    assert sorted(got) == sorted(want) and got[:1] == want[:1]


def test_query_follows_what_happens(client, kith, filled):
    kith.put_query_settings(DomainName=filled, Enabled=True)
    until("READY", lambda: kith.get_query_settings(DomainName=filled)["Status"] == "READY")
    of = {i["Profile"]["AccountNumber"]: i["Profile"]["ProfileId"] for i in kith.query_profiles(DomainName=filled, Text="oslo")["Items"]}
    client.delete_profile(DomainName=filled, ProfileId=of["A-4"])
    assert found(kith, filled, "oslo") == [a for a in sorted(of, key=of.get) if a != "A-4"], "what is deleted is not found, whatever the index says"
    client.merge_profiles(DomainName=filled, MainProfileId=of["A-1"], ProfileIdsToBeMerged=[of["A-3"]])
    assert "A-3" not in found(kith, filled, "oslo")
    until("the merged profile's other names", lambda: found(kith, filled, "maria 2065550100") == ["A-1"])
    settings = kith.get_query_settings(DomainName=filled)
    assert settings["LagSeconds"] >= 0 and settings["UpToDate"] in (True, False)


def test_query_pages_and_says_what_matched(kith, filled):
    kith.put_query_settings(DomainName=filled, Enabled=True)
    until("READY", lambda: kith.get_query_settings(DomainName=filled)["Status"] == "READY")
    first = kith.query_profiles(DomainName=filled, Text="smith", MaxResults=2)
    rest = kith.query_profiles(DomainName=filled, Text="smith", MaxResults=2, NextToken=first["NextToken"])
    assert "NextToken" not in rest
    items = first["Items"] + rest["Items"]
    assert [i["Matches"][0]["How"] for i in items] == ["EXACT", "PREFIX", "FUZZY"]
    assert items[0]["Matches"][0] == {"Word": "smith", "Field": "LastName", "How": "EXACT"}
    assert [i["Score"] for i in items] == sorted((i["Score"] for i in items), reverse=True)
    with pytest.raises(ClientError) as e:
        kith.query_profiles(DomainName=filled, Text="smiths", NextToken=first["NextToken"])
    assert e.value.response["Error"]["Code"] == "BadRequestException"


@pytest.mark.parametrize("text", ["...", "a b c d e f g h i"])
def test_query_refuses(kith, filled, text):
    with pytest.raises(ClientError) as e:
        kith.query_profiles(DomainName=filled, Text=text)
    assert e.value.response["Error"]["Code"] == "BadRequestException"


def test_unknown_domain(kith):
    for call in (lambda: kith.query_profiles(DomainName="nowhere", Text="x"), lambda: kith.list_profiles(DomainName="nowhere"),
                 lambda: kith.get_query_settings(DomainName="nowhere"), lambda: kith.put_query_settings(DomainName="nowhere", Enabled=True)):
        with pytest.raises(ClientError) as e:
            call()
        assert e.value.response["Error"]["Code"] == "ResourceNotFoundException"


@pytest.mark.parametrize("size", [1, 2, 3, 4, 500])
def test_list_profiles(client, kith, filled, size):
    ids = {p["AccountNumber"]: p["ProfileId"] for p in kith.list_profiles(DomainName=filled)["Items"]}
    client.delete_profile(DomainName=filled, ProfileId=ids["A-4"])
    client.merge_profiles(DomainName=filled, MainProfileId=ids["A-1"], ProfileIdsToBeMerged=[ids["A-2"]])
    got, args = [], {"DomainName": filled, "MaxResults": size}
    while True:
        page = kith.list_profiles(**args)
        assert len(page["Items"]) <= size
        got += [p["AccountNumber"] for p in page["Items"]]
        if "NextToken" not in page:
            break
        args["NextToken"] = page["NextToken"]
    assert sorted(got) == ["A-1", "A-3"]
