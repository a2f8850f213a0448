"""Phone numbers as people write them: national spellings are found by their international form, and the other way round."""
import pytest
from botocore.exceptions import ClientError

from conftest import run_job, summary, upload, wait
from test_additions import dry_run, kith  # noqa: F401  (a fixture)

FIELDS = {
    "id": {"Source": "_source.id", "Target": "_profile.AccountNumber"},
    "name": {"Source": "_source.name", "Target": "_profile.FirstName"},
    "phone": {"Source": "_source.phone", "Target": "_profile.PhoneNumber"},
}
TYPE = {
    "Fields": {"id": {"Source": "_source.id"}, "tel": {"Source": "_source.tel", "Target": "_profile.PhoneNumber", "ContentType": "PHONE_NUMBER"}},
    "Keys": {"orderId": [{"StandardIdentifiers": ["UNIQUE"], "FieldNames": ["id"]}], "_phone": [{"StandardIdentifiers": ["PROFILE"], "FieldNames": ["tel"]}]},
}


def found(client, domain, *phones):
    return [sorted(p.get("FirstName", "") for p in client.search_profiles(DomainName=domain, KeyName="_phone", Values=[phone])["Items"]) for phone in phones]


def import_in(client, kith, domain, data, key="id", **options):
    job = client.create_upload_job(DomainName=domain, DisplayName="x", Fields=FIELDS, UniqueKey=key)["JobId"]
    upload(client, domain, job, data.encode())
    kith.put_upload_job_options(DomainName=domain, JobId=job, **options)
    client.start_upload_job(DomainName=domain, JobId=job)
    return wait(client, domain, job)


def test_an_import_says_its_country(client, kith, domain):
    end = import_in(client, kith, domain, "id,name,phone\n1,Ann,0171 / 1234567\n2,Bea,+44 (0)20 7946 0958\n3,Cy,030/901820-12\n", Country="de")
    assert summary(end) == (3, 0, 0)
    assert kith.get_upload_job_details(DomainName=domain, JobId=end["JobId"])["Country"] == "DE"
    # The domain has no country, but numbers of it were written in one.
    assert found(client, domain, "+491711234567", "0171 1234567", "0049 171 1234567", "+442079460958", "+493090182012") == [["Ann"], ["Ann"], ["Ann"], ["Bea"], ["Cy"]]
    [ann] = client.search_profiles(DomainName=domain, KeyName="_phone", Values=["+491711234567"])["Items"]
    assert ann["PhoneNumber"] == "0171 / 1234567"  # what was written is what is stored
    kith.undo_upload_job(DomainName=domain, JobId=end["JobId"])


def test_a_domain_has_a_country(client, kith, domain):
    kith.put_phone_settings(DomainName=domain, Country="FR")
    assert kith.get_phone_settings(DomainName=domain)["Country"] == "FR"
    client.create_profile(DomainName=domain, FirstName="Ann", PhoneNumber="06 12 34 56 78")
    client.create_profile(DomainName=domain, FirstName="Bea", PhoneNumber="+33 7 12 34 56 78")
    assert summary(run_job(client, domain, FIELDS, "id", b"id,name,phone\n3,Cy,01 23 45 67 89\n")) == (1, 0, 0)
    assert found(client, domain, "+33612345678", "0612345678", "07 12 34 56 78", "+33 1 23 45 67 89", "33612345678") == [["Ann"], ["Ann"], ["Bea"], ["Cy"], ["Ann"]]
    # Objects find their customers in either spelling, and imports too.
    client.put_profile_object_type(DomainName=domain, ObjectTypeName="order", Description="x", AllowProfileCreation=True, **TYPE)
    client.put_profile_object(DomainName=domain, ObjectTypeName="order", Object='{"id":"1","tel":"+33 6 12 34 56 78"}')
    client.put_profile_object(DomainName=domain, ObjectTypeName="order", Object='{"id":"2","tel":"07.12.34.56.78"}')
    assert found(client, domain, "+33612345678", "+33712345678") == [["Ann"], ["Bea"]]
    end = run_job(client, domain, FIELDS, "phone", "id,name,phone\n,Ada,+33612345678\n,Ida,06.12.34.56.78\n,Eve,08 99 70 10 10\n".encode())
    assert summary(end) == (1, 2, 0)
    details = kith.get_upload_job_details(DomainName=domain, JobId=end["JobId"])
    assert (details["RepeatedKeyRows"], details["UnchangedRecords"]) == (1, 0)
    assert found(client, domain, "+33612345678") == [["Ida"]]


def test_what_came_before_the_country_is_found(client, kith, domain):
    client.create_profile(DomainName=domain, FirstName="Ann", PhoneNumber="0171 1234567")
    client.create_profile(DomainName=domain, FirstName="Bea", PhoneNumber="+49 172 1234567")
    assert found(client, domain, "+491711234567", "0172 1234567") == [[], []]
    kith.put_phone_settings(DomainName=domain, Country="DE")
    assert found(client, domain, "+491711234567", "0172 1234567", "0171 1234567", "+491721234567") == [["Ann"], ["Bea"], ["Ann"], ["Bea"]]
    # ... by what matches, too
    end = run_job(client, domain, FIELDS, "phone", b"id,name,phone\n1,Ann,+49 171 1234567\n2,Bea,0172/1234567\n")
    assert summary(end) == (0, 2, 0)
    client.put_profile_object_type(DomainName=domain, ObjectTypeName="order", Description="x", AllowProfileCreation=True, **TYPE)
    client.put_profile_object(DomainName=domain, ObjectTypeName="order", Object='{"id":"1","tel":"+491711234567"}')
    assert found(client, domain, "+491711234567", "+491721234567") == [["Ann"], ["Bea"]]
    # Another country later: numbers keep the country that they were written in.
    client.create_profile(DomainName=domain, FirstName="Cy", PhoneNumber="0173 1234567")
    kith.put_phone_settings(DomainName=domain, Country="AT")
    client.create_profile(DomainName=domain, FirstName="Di", PhoneNumber="0664 1234567")
    assert found(client, domain, "+491731234567", "0173 1234567", "+436641234567", "0664 1234567", "+43 173 1234567") == [["Cy"], ["Cy"], ["Di"], ["Di"], []]
    assert kith.get_phone_settings(DomainName=domain)["Countries"] == ["DE", "AT"]
    kith.put_phone_settings(DomainName=domain)
    assert "Country" not in kith.get_phone_settings(DomainName=domain)
    assert found(client, domain, "+491731234567", "0173 1234567") == [["Cy"], ["Cy"]]


def test_keys_by_hand_are_read_too(client, kith, domain):
    kith.put_phone_settings(DomainName=domain, Country="IT")
    ann = client.create_profile(DomainName=domain, FirstName="Ann")["ProfileId"]
    client.add_profile_key(DomainName=domain, ProfileId=ann, KeyName="_phone", Values=["06 6982 1234"])
    assert found(client, domain, "+39 06 6982 1234", "0669821234") == [["Ann"], ["Ann"]]
    client.delete_profile_key(DomainName=domain, ProfileId=ann, KeyName="_phone", Values=["+39 06 69821234"])
    assert found(client, domain, "+39 06 6982 1234", "0669821234") == [[], []]


@pytest.mark.parametrize("country", ["XX", "D", "Q9", "00"])
def test_what_is_no_country_is_refused(client, kith, domain, country):
    with pytest.raises(ClientError, match="two letters"):
        kith.put_phone_settings(DomainName=domain, Country=country)
    job = client.create_upload_job(DomainName=domain, DisplayName="x", Fields=FIELDS, UniqueKey="id")["JobId"]
    with pytest.raises(ClientError, match="two letters"):
        kith.put_upload_job_options(DomainName=domain, JobId=job, Country=country)


def test_rows_that_repeat_and_that_change_nothing_are_told(client, kith, domain):
    data = "id,name,phone\n1,Ann,1\n2,Bea,2\n1,Ann,1\n3,Cy,3\n1,Ada,1\n"
    end = import_in(client, kith, domain, data)
    assert summary(end) == (3, 2, 0)
    details = kith.get_upload_job_details(DomainName=domain, JobId=end["JobId"])
    assert (details["RepeatedKeyRows"], details["UnchangedRecords"]) == (2, 0)
    again = "id,name,phone\n1,Ada,1\n2,Bea,2\n3,Cyd,3\n4,Di,4\n2,,2\n"
    job = client.create_upload_job(DomainName=domain, DisplayName="x", Fields=FIELDS, UniqueKey="id")["JobId"]
    upload(client, domain, job, again.encode())
    dry = dry_run(kith, domain, job)
    assert [dry[k] for k in ("WouldCreate", "WouldUpdate", "UnchangedRecords", "RepeatedKeyRows")] == [1, 4, 3, 1]
    client.start_upload_job(DomainName=domain, JobId=job)
    assert summary(wait(client, domain, job)) == (1, 4, 0)
    details = kith.get_upload_job_details(DomainName=domain, JobId=job)
    assert (details["UnchangedRecords"], details["RepeatedKeyRows"]) == (3, 1)
    # What somebody typed in since makes a difference again.
    [bea] = client.search_profiles(DomainName=domain, KeyName="_account", Values=["2"])["Items"]
    client.update_profile(DomainName=domain, ProfileId=bea["ProfileId"], FirstName="Beate")
    end = import_in(client, kith, domain, again)
    assert kith.get_upload_job_details(DomainName=domain, JobId=end["JobId"])["UnchangedRecords"] == 3  # 1, 3, 4; not 2, twice


@pytest.mark.parametrize("how, want, name", [("REJECT", (1, 0, 1), None), ("CUT", (2, 0, 0), "x" * 255), ("DROP", (2, 0, 0), "")])
def test_values_that_are_too_long(client, kith, domain, how, want, name):
    data = "id,name,phone\n1,Ann,1\n2," + "x" * 300 + ",2\n"
    job = client.create_upload_job(DomainName=domain, DisplayName="x", Fields=FIELDS, UniqueKey="id")["JobId"]
    upload(client, domain, job, data.encode())
    kith.put_upload_job_options(DomainName=domain, JobId=job, TooLong=how)
    counted = [{"Column": "name", "Values": 1, "Limit": 255}]
    assert dry_run(kith, domain, job)["TooLongColumns"] == counted
    client.start_upload_job(DomainName=domain, JobId=job)
    assert summary(wait(client, domain, job)) == want
    assert kith.get_upload_job_details(DomainName=domain, JobId=job)["TooLongColumns"] == counted
    items = client.search_profiles(DomainName=domain, KeyName="_account", Values=["2"])["Items"]
    assert [p.get("FirstName", "") for p in items] == ([] if name is None else [name])


@pytest.mark.parametrize("how", ["CUT", "DROP"])
def test_keys_are_never_cut(client, kith, domain, how):
    fields = {"id": {"Source": "_source.id", "Target": "_profile.AccountNumber"}, "mail": {"Source": "_source.mail", "Target": "_profile.EmailAddress"}}
    job = client.create_upload_job(DomainName=domain, DisplayName="x", Fields=fields, UniqueKey="id")["JobId"]
    upload(client, domain, job, ("id,mail\n1,a@" + "x" * 300 + "\n" + "7" * 300 + ",b@x\n").encode())
    kith.put_upload_job_options(DomainName=domain, JobId=job, TooLong=how)
    client.start_upload_job(DomainName=domain, JobId=job)
    assert summary(wait(client, domain, job)) == (1, 0, 1)
    assert "EmailAddress" not in client.search_profiles(DomainName=domain, KeyName="_account", Values=["1"])["Items"][0]
