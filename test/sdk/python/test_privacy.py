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
