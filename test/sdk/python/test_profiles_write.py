"""CreateProfile, UpdateProfile, AddProfileKey, DeleteProfileKey, ListProfileAttributeValues, and searches for what they wrote."""
import pytest
from botocore.exceptions import ClientError

from conftest import run_job

ADDRESS = {
    "Address1": "1 Main St", "Address2": "b", "Address3": "c", "Address4": "d", "City": "Springfield",
    "County": "e", "State": "f", "Province": "g", "Country": "h", "PostalCode": "i",
}
WHOLE = {
    "AccountNumber": "A-1", "AdditionalInformation": "x" * 1000, "PartyType": "INDIVIDUAL", "BusinessName": "Lee & Co",
    "FirstName": "Ann", "MiddleName": "Q", "LastName": "Lee", "BirthDate": "1990-01-01", "Gender": "FEMALE",
    "PhoneNumber": "+1 (206) 555-0100", "MobilePhoneNumber": "206 555 0101", "HomePhoneNumber": "206 555 0102",
    "BusinessPhoneNumber": "206 555 0103", "EmailAddress": "Ann@Example.com", "PersonalEmailAddress": "ann@home.example",
    "BusinessEmailAddress": "ann@work.example", "Address": ADDRESS, "ShippingAddress": {"City": "S"}, "MailingAddress": {"City": "M"},
    "BillingAddress": {"City": "B"}, "Attributes": {"tier": "gold", "No. of visits": "3"}, "ProfileType": "ACCOUNT_PROFILE",
    "EngagementPreferences": {
        "Phone": [{"KeyName": "_phone", "KeyValue": "+1 (206) 555-0100", "ContactType": "PhoneNumber"}],
        "Email": [{"KeyName": "_email", "KeyValue": "Ann@Example.com", "ProfileId": "ab" * 16, "ContactType": "EmailAddress"}],
    },
}


def read(client, domain, profile):
    (item,) = client.batch_get_profile(DomainName=domain, ProfileIds=[profile])["Profiles"]
    assert item.pop("ProfileId") == profile
    return item


def create(client, domain, **members):
    return client.create_profile(DomainName=domain, **members)["ProfileId"]


def search(client, domain, key, *values):
    items = client.search_profiles(DomainName=domain, KeyName=key, Values=list(values))["Items"]
    return sorted(i["ProfileId"] for i in items)


def refused(call, code="BadRequestException", says=""):
    with pytest.raises(ClientError) as e:
        call()
    assert e.value.response["Error"]["Code"] == code
    assert says in e.value.response["Error"]["Message"], e.value


def test_whole_profile(client, domain):
    one = create(client, domain, **WHOLE)
    assert read(client, domain, one) == WHOLE
    assert create(client, domain, **WHOLE) != one, "CreateProfile never deduplicates"
    empty = create(client, domain)
    assert read(client, domain, empty) == {}
    assert search(client, domain, "_profileId", empty) == [empty]


def test_update(client, unchecked, domain):
    one = create(client, domain, **WHOLE)
    assert client.update_profile(DomainName=domain, ProfileId=one, FirstName="Anna")["ProfileId"] == one
    want = dict(WHOLE, FirstName="Anna")
    assert read(client, domain, one) == want

    # An empty text blanks: an attribute, a part of an address, a custom attribute.
    client.update_profile(
        DomainName=domain, ProfileId=one, MiddleName="", Address={"City": "", "State": "WA"}, BillingAddress={"City": ""},
        Attributes={"tier": "", "new": "1"}, EngagementPreferences={"Phone": []},
    )
    del want["MiddleName"], want["BillingAddress"]
    want["Address"] = dict(ADDRESS, State="WA")
    del want["Address"]["City"]
    want["Attributes"] = {"No. of visits": "3", "new": "1"}
    want["EngagementPreferences"] = {"Email": WHOLE["EngagementPreferences"]["Email"]}
    assert read(client, domain, one) == want

    # PartyType and PartyTypeString are one attribute in two forms.
    client.update_profile(DomainName=domain, ProfileId=one, PartyTypeString="Household", Gender="MALE")
    del want["PartyType"]
    want |= {"PartyTypeString": "Household", "Gender": "MALE"}
    assert read(client, domain, one) == want
    client.update_profile(DomainName=domain, ProfileId=one, PartyType="OTHER", GenderString="")
    del want["PartyTypeString"], want["Gender"]
    want["PartyType"] = "OTHER"
    assert read(client, domain, one) == want
    refused(lambda: client.update_profile(DomainName=domain, ProfileId=one, PartyType="OTHER", PartyTypeString="x"), says="PartyTypeString")
    refused(lambda: client.create_profile(DomainName=domain, Gender="MALE", GenderString="x"), says="GenderString")
    assert read(client, domain, one) == want

    # What is absent, or null, stays.
    client.update_profile(DomainName=domain, ProfileId=one)
    unchecked.update_profile(DomainName=domain, ProfileId=one, FirstName=None, Attributes=None)
    assert read(client, domain, one) == want


def test_create_takes_empty_texts(unchecked, domain):
    """The model has a minimum of 1, and AWS's own sample sends empty texts."""
    one = create(unchecked, domain, FirstName="", LastName="Lee", Address={"City": "", "State": "WA"}, Attributes={"a": "", "b": "c"}, PartyTypeString="")
    assert read(unchecked, domain, one) == {"LastName": "Lee", "Address": {"State": "WA"}, "Attributes": {"b": "c"}}


@pytest.mark.parametrize("text", ["null", " outer blanks ", "😀👩‍👩‍👧", "שלום مرحبا", "é" * 255, "𝒳" * 255, "<b>&amp;", '"\\', "a\u00a0b", "0"])
def test_values_come_back_verbatim(client, domain, text):
    said = {"AccountNumber": text, "FirstName": text, "PhoneNumber": text, "EmailAddress": text, "Address": {"City": text}, "Attributes": {text: text}}
    one = create(client, domain, **said)
    assert read(client, domain, one) == said
    (item,) = client.search_profiles(DomainName=domain, KeyName="_account", Values=[text])["Items"]
    assert item["EmailAddress"] == text  # which is no key: it has no @
    client.update_profile(DomainName=domain, ProfileId=one, LastName=text)
    assert read(client, domain, one) == dict(said, LastName=text)


@pytest.mark.parametrize(
    "member", ["FirstName", "PhoneNumber", "EmailAddress", "PartyTypeString"],
)
def test_too_long(unchecked, domain, member):
    refused(lambda: create(unchecked, domain, **{member: "x" * 256}), says=member[0].lower() + member[1:])


def test_a_profile_that_is_too_large(client, domain):
    one = create(client, domain, Attributes={str(i): "x" * 255 for i in range(500)})
    before = read(client, domain, one)
    refused(lambda: client.update_profile(DomainName=domain, ProfileId=one, Attributes={f"y{i}": "x" * 255 for i in range(600)}), says="256000")
    assert read(client, domain, one) == before


def test_unknown_profiles(client, domain):
    nobody = "ab" * 16
    for call in (
        lambda: client.update_profile(DomainName=domain, ProfileId=nobody, FirstName="x"),
        lambda: client.add_profile_key(DomainName=domain, ProfileId=nobody, KeyName="k", Values=["1"]),
        lambda: client.delete_profile_key(DomainName=domain, ProfileId=nobody, KeyName="k", Values=["1"]),
        lambda: client.create_profile(DomainName="none"),
        lambda: client.list_profile_attribute_values(DomainName="none", AttributeName="LastName"),
    ):
        refused(call, "ResourceNotFoundException")
    refused(lambda: client.update_profile(DomainName=domain, ProfileId="x"))
    main, merged = create(client, domain), create(client, domain)
    client.merge_profiles(DomainName=domain, MainProfileId=main, ProfileIdsToBeMerged=[merged])
    refused(lambda: client.update_profile(DomainName=domain, ProfileId=merged, FirstName="x"), "ResourceNotFoundException", says=main)
    client.delete_profile(DomainName=domain, ProfileId=main)
    refused(lambda: client.update_profile(DomainName=domain, ProfileId=main, FirstName="x"), "ResourceNotFoundException")


def test_predefined_keys_follow_the_values(client, domain):
    one = create(client, domain, **WHOLE)
    for key, value in {
        "_account": "A-1", "_phone": "12065550100", "_email": "ANN@example.com", "_fullName": "ann  lee",
        "AccountNumber": "A-1", "PhoneNumber": "(206) 555-0100", "MobilePhoneNumber": "2065550101", "HomePhoneNumber": "2065550102",
        "BusinessPhoneNumber": "2065550103", "EmailAddress": "ann@example.com", "PersonalEmailAddress": "ANN@HOME.example",
        "BusinessEmailAddress": "ann@work.example",
    }.items():
        assert search(client, domain, key, value) == [one], key
    # Of the attribute that is named, and not of one whose values the same key has.
    assert search(client, domain, "EmailAddress", "ann@home.example") == []
    assert search(client, domain, "PhoneNumber", "2065550101") == []
    client.update_profile(DomainName=domain, ProfileId=one, EmailAddress="new@example.com", FirstName="")
    assert search(client, domain, "_email", "ann@example.com") == []
    assert search(client, domain, "EmailAddress", "ann@example.com") == []
    assert search(client, domain, "EmailAddress", "new@example.com") == search(client, domain, "_email", "new@example.com") == [one]
    assert search(client, domain, "_fullName", "Ann Lee") == [] and search(client, domain, "_fullName", "Q Lee") == [one]


def test_search_by_an_attribute_finds_merged_and_imported(client, domain):
    run_job(client, domain, {"id": {"Source": "_source.id", "Target": "_profile.AccountNumber"}, "mail": {"Source": "_source.mail", "Target": "_profile.EmailAddress"}},
            "id", b"id,mail\n1,one@x.com\n2,two@x.com\n")
    (one,) = search(client, domain, "EmailAddress", "one@x.com")
    (two,) = search(client, domain, "AccountNumber", "2")
    client.merge_profiles(DomainName=domain, MainProfileId=one, ProfileIdsToBeMerged=[two])
    # The address that lost still finds its customer: else programs would create her again.
    assert search(client, domain, "EmailAddress", "two@x.com") == search(client, domain, "EmailAddress", "one@x.com") == [one]
    (item,) = client.search_profiles(
        DomainName=domain, KeyName="EmailAddress", Values=["TWO@x.com", "nobody"], LogicalOperator="AND",
        AdditionalSearchKeys=[{"KeyName": "_account", "Values": ["1"]}],
    )["Items"]
    assert item["FoundByItems"] == [{"KeyName": "EmailAddress", "Values": ["TWO@x.com"]}, {"KeyName": "_account", "Values": ["1"]}]


@pytest.mark.parametrize("name", ["FirstName", "BirthDate", "GenderString", "BusinessName"])
def test_search_by_an_attribute_without_index(client, domain, name):
    refused(lambda: search(client, domain, name, "x"), says=f"by the attribute {name}. Search by a key: _profileId")


def test_keys_by_hand(client, domain):
    one, two = create(client, domain, EmailAddress="a@x.com"), create(client, domain)
    added = client.add_profile_key(DomainName=domain, ProfileId=one, KeyName="_ctrContactId", Values=["c1", "c2"])
    assert (added["KeyName"], added["Values"]) == ("_ctrContactId", ["c1", "c2"])
    client.add_profile_key(DomainName=domain, ProfileId=one, KeyName="_ctrContactId", Values=["c2", "c3"])
    client.add_profile_key(DomainName=domain, ProfileId=two, KeyName="_ctrContactId", Values=["c3"])
    client.add_profile_key(DomainName=domain, ProfileId=two, KeyName="Loyalty-No", Values=[" L 1 "])
    client.add_profile_key(DomainName=domain, ProfileId=two, KeyName="_phone", Values=["+1 206 555 0199"])
    assert search(client, domain, "_ctrContactId", "c1") == search(client, domain, "_ctrContactId", "c2") == [one]
    assert search(client, domain, "_ctrContactId", "c3") == sorted([one, two])
    assert search(client, domain, "Loyalty-No", "L 1") == search(client, domain, "_phone", "2065550199") == [two]
    assert "PhoneNumber" not in read(client, domain, two)

    # They stay when the profile is written to, and go one by one.
    client.update_profile(DomainName=domain, ProfileId=one, EmailAddress="b@x.com")
    assert search(client, domain, "_ctrContactId", "c1") == [one]
    assert client.delete_profile_key(DomainName=domain, ProfileId=one, KeyName="_ctrContactId", Values=["c1", "unknown"])["Message"]
    assert search(client, domain, "_ctrContactId", "c1") == [] and search(client, domain, "_ctrContactId", "c2") == [one]
    client.delete_profile_key(DomainName=domain, ProfileId=two, KeyName="_phone", Values=["2065550199"])
    assert search(client, domain, "_phone", "2065550199") == []

    # Of a merged profile, too.
    client.merge_profiles(DomainName=domain, MainProfileId=one, ProfileIdsToBeMerged=[two])
    assert search(client, domain, "Loyalty-No", "L 1") == search(client, domain, "_ctrContactId", "c3") == [one]
    client.delete_profile_key(DomainName=domain, ProfileId=one, KeyName="_ctrContactId", Values=["c3"])
    assert search(client, domain, "_ctrContactId", "c3") == []


@pytest.mark.parametrize(
    "key,value,says",
    [
        ("_profileId", "ab" * 16, "own id"), ("_unknown", "1", "no predefined key _unknown"), ("FirstName", "x", "is an attribute"),
        ("EmailAddress", "x", "is an attribute"), ("_phone", "none", "can't be a key"), ("k", "   ", "can't be a key"),
    ],
)
def test_keys_that_are_refused(client, domain, key, value, says):
    one = create(client, domain)
    refused(lambda: client.add_profile_key(DomainName=domain, ProfileId=one, KeyName=key, Values=[value]), says=says)
    refused(lambda: client.delete_profile_key(DomainName=domain, ProfileId=one, KeyName=key, Values=[value]), says=says)
    refused(lambda: client.add_profile_key(DomainName=domain, ProfileId=one, KeyName="k", Values=[]), says="Values is empty")


def test_keys_by_hand_are_limited(client, domain):
    one = create(client, domain)
    client.add_profile_key(DomainName=domain, ProfileId=one, KeyName="k", Values=[str(i) for i in range(1000)])
    refused(lambda: client.add_profile_key(DomainName=domain, ProfileId=one, KeyName="k", Values=["new"]), says="1000 are possible")
    assert search(client, domain, "k", "999") == [one] and search(client, domain, "k", "new") == []


def test_attribute_values(client, domain):
    def values(name):
        got = client.list_profile_attribute_values(DomainName=domain, AttributeName=name)
        assert (got["DomainName"], got["AttributeName"]) == (domain, name)
        return [i["Value"] for i in got["Items"]]

    assert values("LastName") == []
    for last, city, tier in (("Lee", "Paris", "gold"), ("Lee", "Rome", "tin"), ("Ray", "Paris", "tin"), ("Low", "Paris", "tin")):
        one = create(client, domain, LastName=last, Address={"City": city}, Attributes={"tier of x": tier})
    run_job(client, domain, {"id": {"Source": "_source.id", "Target": "_profile.LastName"}}, "id", b"id\nRay\nRay2\n")
    assert values("LastName")[:1] == ["Lee"] and sorted(values("LastName")) == ["Lee", "Low", "Ray", "Ray2"]
    assert values("Address.City") == ["Paris", "Rome"]
    assert values("Attributes.tier of x") == ["tin", "gold"]
    assert values("Nothing") == values("Attributes.nothing") == []
    client.delete_profile(DomainName=domain, ProfileId=one)
    assert "Low" not in values("LastName")


def test_keys_of_several_fields(client, domain):
    """A text of the fields joined by blanks, each way to split it; compared by the fields' content types."""
    client.put_profile_object_type(
        DomainName=domain, ObjectTypeName="visit", Description="d", AllowProfileCreation=True,
        Fields={"id": {"Source": "_source.id"}, "name": {"Source": "_source.name", "ContentType": "NAME"}, "phone": {"Source": "_source.phone", "ContentType": "PHONE_NUMBER"}},
        Keys={"visitId": [{"FieldNames": ["id"], "StandardIdentifiers": ["UNIQUE"]}], "person": [{"FieldNames": ["name", "phone"], "StandardIdentifiers": ["PROFILE"]}]},
    )
    client.put_profile_object(DomainName=domain, ObjectTypeName="visit", Object='{"id": "1", "name": "Ann Lee", "phone": "+1 206 555 0100"}')
    (one,) = search(client, domain, "person", "ANN  lee (206) 5550100")
    two = create(client, domain)
    client.add_profile_key(DomainName=domain, ProfileId=two, KeyName="person", Values=["Bo 2065550101"])
    assert search(client, domain, "person", "bo 206 555 0101") == [two] and search(client, domain, "visitId", "1") == [one]
    assert search(client, domain, "person", "Ann Lee") == []
    refused(lambda: client.add_profile_key(DomainName=domain, ProfileId=two, KeyName="person", Values=["Bo"]), says="each of its 2 fields")
