"""What Kith adds for privacy: one person told and forgotten, and dead letters; signed by botocore, as any client would."""
import base64
import hashlib
import json
import os

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest
import requests

from conftest import run_job

FIELDS = {
    "id": {"Source": "_source.id", "Target": "_profile.AccountNumber"},
    "first": {"Source": "_source.first", "Target": "_profile.FirstName"},
    "mail": {"Source": "_source.mail", "Target": "_profile.EmailAddress", "ContentType": "EMAIL_ADDRESS"},
}


@pytest.fixture
def kith(endpoint, domain):
    """Sends one of Kith's own operations, and returns the answer."""
    def send(method, path, body=None, key="KITH_TEST_KEY", secret="KITH_TEST_SECRET"):
        request = botocore.awsrequest.AWSRequest(
            method=method, url=f"{endpoint}/kith/domains/{domain}/{path}", data=None if body is None else json.dumps(body),
            headers={"Content-Type": "application/json"})
        credentials = botocore.credentials.Credentials(os.environ[key], os.environ[secret])
        botocore.auth.SigV4Auth(credentials, "profile", "us-east-1").add_auth(request)
        return requests.request(method, request.url, data=request.data, headers=dict(request.headers), timeout=60)
    return send


def find(client, domain, key, value):
    return client.search_profiles(DomainName=domain, KeyName=key, Values=[value])["Items"]


def test_a_person_is_told_and_forgotten(client, domain, kith):
    run_job(client, domain, FIELDS, "id", "id,first,mail\nA-1,Zoë 😀,zoe@example.com\nA-2,Bob,bob@example.com\n".encode())
    other = client.create_profile(DomainName=domain, FirstName="Zoe", Attributes={"note": " null "})["ProfileId"]
    client.add_profile_key(DomainName=domain, ProfileId=other, KeyName="_phone", Values=["+47 555 01 234"])
    main = find(client, domain, "_email", "zoe@example.com")[0]["ProfileId"]
    client.merge_profiles(DomainName=domain, MainProfileId=main, ProfileIdsToBeMerged=[other])

    answer = kith("POST", "persons/export", {"KeyName": "_phone", "KeyValue": "4755501234"})
    assert answer.status_code == 200 and answer.headers["Content-Type"] == "application/json", answer.text
    told = answer.json()
    assert told["ProfileId"] == main and told["Profile"]["FirstName"] == "Zoë 😀"
    assert told["Profile"]["Attributes"] == {"note": " null "}
    assert {s["ProfileId"] for s in told["Sources"]} == {main, other}
    assert "bob" not in answer.text.lower()
    assert {"KeyName": "_email", "Value": "zoe@example.com"} in told["Keys"]

    answer = kith("POST", "persons/forget", {"ProfileId": other})
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert hashlib.sha256(said["Statement"].encode()).hexdigest() == said["StatementSha256"]
    assert len(base64.b64decode(said["Signature"])) == 64 and len(base64.b64decode(said["PublicKey"])) == 32
    statement = json.loads(said["Statement"])
    assert statement["ProfileIds"] == [main, other] and statement["Removed"]["Profiles"] == 2
    assert not any(statement["LeftAfterwards"].values())
    assert "zoe" not in said["Statement"].lower()
    for key, value in [("_email", "zoe@example.com"), ("_phone", "4755501234"), ("_account", "A-1"), ("_profileId", main)]:
        assert find(client, domain, key, value) == []
    assert len(find(client, domain, "_account", "A-2")) == 1
    assert kith("POST", "persons/export", {"ProfileId": main}).status_code == 404


@pytest.mark.parametrize("body,status,words", [
    ({}, 400, "Say who it is"),
    ({"KeyName": "_email"}, 400, "Say who it is"),
    ({"ProfileId": "x"}, 400, "profileId"),
    ({"ProfileId": "f" * 32}, 404, "not found"),
    ({"KeyName": "_email", "KeyValue": "nobody@example.com"}, 404, "Nobody"),
])
@pytest.mark.parametrize("operation", ["export", "forget"])
def test_nobody(kith, operation, body, status, words):
    answer = kith("POST", f"persons/{operation}", body)
    assert answer.status_code == status and words in answer.json()["Message"], answer.text
    assert "nobody@example.com" not in answer.text


def test_a_policy_for_the_api_does_not_allow_it(kith):
    for path in ["persons/export", "persons/forget", "dead-letters/replay"]:
        answer = kith("POST", path, {"ProfileId": "f" * 32}, "KITH_TEST_LIMITED_KEY", "KITH_TEST_LIMITED_SECRET")
        assert answer.status_code == 403, answer.text


def test_no_dead_letters(kith):
    assert kith("GET", "dead-letters").json() == {"Items": []}
    assert kith("POST", "dead-letters/replay", {}).json() == {"Attached": 0, "Failed": []}
    assert kith("POST", "dead-letters/delete", {"All": True}).json() == {"Deleted": 0}
    assert kith("POST", "dead-letters/delete", {}).status_code == 400


TYPE = {
    "Description": "objects that make no profiles",
    "AllowProfileCreation": False,
    "Fields": {
        "id": {"Source": "_source.id", "ContentType": "STRING"},
        "mail": {"Source": "_source.mail", "Target": "_profile.EmailAddress", "ContentType": "EMAIL_ADDRESS"},
        "note": {"Source": "_source.note", "Target": "_profile.Attributes.note"},
    },
    "Keys": {
        "noteId": [{"FieldNames": ["id"], "StandardIdentifiers": ["UNIQUE"]}],
        "_email": [{"FieldNames": ["mail"], "StandardIdentifiers": ["PROFILE"]}],
    },
}


def put(client, domain, object_id, mail, note="x"):
    text = json.dumps({"id": object_id, "mail": mail, "note": note}, ensure_ascii=False)
    client.put_profile_object(DomainName=domain, ObjectTypeName="Note", Object=text)
    return text


def test_dead_letters_are_listed_replayed_and_deleted(client, domain, kith):
    client.put_profile_object_type(DomainName=domain, ObjectTypeName="Note", **TYPE)
    objects = [put(client, domain, str(n), f"c{n}@example.com", "Zoë 😀") for n in range(5)]
    seen, token = [], ""
    while token is not None:
        page = kith("GET", "dead-letters?max-results=2" + (f"&next-token={token}" if token else "")).json()
        assert len(page["Items"]) <= 2
        seen, token = seen + page["Items"], page.get("NextToken")
    assert [item["Object"] for item in seen] == objects
    assert {item["ObjectTypeName"] for item in seen} == {"Note"} and all(item["Reason"] for item in seen)
    assert kith("GET", "dead-letters?object-type=Other").json() == {"Items": []}

    client.create_profile(DomainName=domain, EmailAddress="c1@example.com")
    client.create_profile(DomainName=domain, EmailAddress="c3@example.com")
    got = kith("POST", "dead-letters/replay", {"DeadLetterIds": [seen[1]["DeadLetterId"]]}).json()
    assert got == {"Attached": 1, "Failed": []}
    got = kith("POST", "dead-letters/replay", {"ObjectTypeName": "Note"}).json()
    assert got["Attached"] == 1 and [f["DeadLetterId"] for f in got["Failed"]] == [seen[n]["DeadLetterId"] for n in (0, 2, 4)]
    for mail in ("c1@example.com", "c3@example.com"):
        (profile,) = find(client, domain, "_email", mail)
        assert profile["Attributes"] == {"note": "Zoë 😀"}
    assert [i["Object"] for i in kith("GET", "dead-letters").json()["Items"]] == [objects[n] for n in (0, 2, 4)]

    # A person's letters are told and forgotten with it, whatever has kept them out.
    put(client, domain, "9", "c1@example.com")
    client.create_profile(DomainName=domain, PersonalEmailAddress="c0@example.com")
    told = kith("POST", "persons/export", {"KeyName": "_email", "KeyValue": "C0@example.com"}).json()
    assert [d["Object"] for d in told["DeadLetters"]] == [objects[0]]
    assert len(kith("POST", "persons/export", {"KeyName": "_email", "KeyValue": "c1@example.com"}).json()["Objects"]) == 2
    said = json.loads(kith("POST", "persons/forget", {"KeyName": "_email", "KeyValue": "c0@example.com"}).json()["Statement"])
    assert said["Removed"]["DeadLetters"] == 1
    assert kith("POST", "dead-letters/delete", {"DeadLetterIds": [seen[2]["DeadLetterId"]]}).json() == {"Deleted": 1}
    assert kith("POST", "dead-letters/delete", {"ObjectTypeName": "Note"}).json() == {"Deleted": 1}
    assert kith("GET", "dead-letters").json() == {"Items": []}
