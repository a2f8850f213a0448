"""Every refusal is the typed exception that AWS documents, and says what to do."""
import os

import pytest
import requests
from botocore.exceptions import ClientError

from conftest import make_client, sse_headers, upload, wait

FIELDS = {"id": {"Source": "_source.id", "Target": "_profile.AccountNumber"}}
UNKNOWN = "f" * 32


def new_job(client, domain):
    return client.create_upload_job(DomainName=domain, DisplayName="x", Fields=FIELDS, UniqueKey="id")["JobId"]


def test_path_resource_not_found(client, domain):
    with pytest.raises(client.exceptions.ResourceNotFoundException) as e:
        client.get_upload_job_path(DomainName=domain, JobId=UNKNOWN)
    assert UNKNOWN in e.value.response["Message"]
    with pytest.raises(client.exceptions.ResourceNotFoundException) as e:
        client.get_upload_job_path(DomainName="no-such-domain", JobId=UNKNOWN)
    assert "DomainName no-such-domain is not found in account" in e.value.response["Message"]


def test_path_bad_request(client, domain):
    job = new_job(client, domain)
    client.stop_upload_job(DomainName=domain, JobId=job)
    with pytest.raises(client.exceptions.BadRequestException) as e:
        client.get_upload_job_path(DomainName=domain, JobId=job)
    assert "STOPPED" in e.value.response["Message"]


def test_path_access_denied(client, domain, endpoint):
    job = new_job(client, domain)
    limited = make_client(endpoint, os.environ["KITH_TEST_LIMITED_KEY"], os.environ["KITH_TEST_LIMITED_SECRET"])
    assert limited.get_upload_job(DomainName=domain, JobId=job)["Status"] == "CREATED"
    with pytest.raises(limited.exceptions.AccessDeniedException) as e:
        limited.get_upload_job_path(DomainName=domain, JobId=job)
    assert "profile:GetUploadJobPath" in e.value.response["Message"]


def test_policies_reach_tags(client, domain, endpoint):
    limited = make_client(endpoint, os.environ["KITH_TEST_LIMITED_KEY"], os.environ["KITH_TEST_LIMITED_SECRET"])
    for arn in (f"arn:aws:profile:us-east-1:000000000000:domains/{domain}", f"arn:awsx:profile:x:1:domains/{domain}"):
        assert limited.list_tags_for_resource(resourceArn=arn)["tags"] == {}
        with pytest.raises(ClientError) as e:
            limited.untag_resource(resourceArn=arn, tagKeys=["a"])
        assert e.value.response["Error"]["Code"] == "AccessDeniedException"


def test_path_throttled(client):
    slow = make_client(os.environ["KITH_TEST_THROTTLED_ENDPOINT"])
    name = "throttled"
    slow.create_domain(DomainName=name, DefaultExpirationDays=1)
    job = new_job(slow, name)
    with pytest.raises(slow.exceptions.ThrottlingException):
        for _ in range(10):
            slow.get_upload_job_path(DomainName=name, JobId=job)


def test_path_internal_server_error(client):
    broken = make_client(os.environ["KITH_TEST_FAULTY_ENDPOINT"])
    with pytest.raises(broken.exceptions.InternalServerException) as e:
        broken.get_upload_job_path(DomainName="any", JobId=UNKNOWN)
    assert "injected" not in str(e.value)


def test_validation_lists_all_failures(client, domain):
    with pytest.raises(client.exceptions.BadRequestException) as e:
        client._make_api_call("CreateUploadJob", {
            "DomainName": "bad name!", "DisplayName": "x", "Fields": FIELDS, "UniqueKey": "id", "DataExpiry": 5000})
    text = e.value.response["Message"]
    assert text.startswith("2 validation errors detected: ")
    assert "Value 'bad name!' at 'domainName' failed to satisfy constraint: Member must satisfy regular expression pattern: ^[a-zA-Z0-9_-]+$" in text
    assert "Value '5000' at 'dataExpiry' failed to satisfy constraint: Member must have value less than or equal to 1098" in text


@pytest.mark.parametrize("fields, key, words", [
    ({"a": {"Source": "id", "Target": "_profile.AccountNumber"}}, "a", "_source."),
    ({"a": {"Source": "_source.id", "Target": "_profile.Nope"}}, "a", "standard profile"),
    ({"a": {"Source": "_source.id", "Target": "_profile.ProfileId"}}, "a", "reserved"),
    ({"a": {"Source": "_source.id", "Target": "_profile.Gender"},
      "b": {"Source": "_source.b", "Target": "_profile.GenderString"}}, "a", "mutually exclusive"),
    ({"a": {"Source": "_source.id", "Target": "_profile.AccountNumber"}}, "zzz", "UniqueKey"),
    ({"a": {"Source": "{{_source.id", "Target": "_profile.AccountNumber"}}, "a", "not closed"),
])
def test_bad_mappings(client, domain, fields, key, words):
    with pytest.raises(client.exceptions.BadRequestException) as e:
        client.create_upload_job(DomainName=domain, DisplayName="x", Fields=fields, UniqueKey=key)
    assert words in e.value.response["Message"]


def test_state_machine(client, domain):
    bad = client.exceptions.BadRequestException
    job = new_job(client, domain)
    with pytest.raises(bad) as e:
        client.start_upload_job(DomainName=domain, JobId=job)
    assert "no file" in e.value.response["Message"]
    assert client.get_upload_job(DomainName=domain, JobId=job)["Status"] == "CREATED"
    assert "ResultsSummary" not in client.get_upload_job(DomainName=domain, JobId=job)
    assert upload(client, domain, job, "id\n1\n").status_code == 200
    client.start_upload_job(DomainName=domain, JobId=job)
    wait(client, domain, job)
    for call in (client.start_upload_job, client.stop_upload_job, client.get_upload_job_path):
        with pytest.raises(bad):
            call(DomainName=domain, JobId=job)
    job = new_job(client, domain)
    for _ in range(2):
        client.stop_upload_job(DomainName=domain, JobId=job)
    got = client.get_upload_job(DomainName=domain, JobId=job)
    assert got["Status"] == "STOPPED" and got["CompletedAt"]
    with pytest.raises(bad):
        client.start_upload_job(DomainName=domain, JobId=job)
    with pytest.raises(bad):
        client.get_upload_job(DomainName=domain, JobId="not-hex")
    for call in (client.start_upload_job, client.stop_upload_job, client.get_upload_job_path):
        with pytest.raises(client.exceptions.ResourceNotFoundException):
            call(DomainName=domain, JobId="not-hex")


def put(client, domain, job, change=lambda h: h, data="id\n1\n", url=None):
    path = client.get_upload_job_path(DomainName=domain, JobId=job)
    return requests.put(url(path["Url"]) if url else path["Url"], data=data,
                        headers=change(sse_headers(path["ClientToken"])), timeout=60)


def test_put_refusals(client, domain):
    prefix = "x-amz-server-side-encryption-customer-"
    job = new_job(client, domain)

    def drop(name):
        return lambda h: {k: v for k, v in h.items() if k != prefix + name}

    def set_(name, value):
        return lambda h: {**h, prefix + name: value}

    for change, status, code in [
        (drop("algorithm"), 400, "InvalidRequest"),
        (drop("key"), 400, "InvalidRequest"),
        (drop("key-MD5"), 400, "InvalidRequest"),
        (set_("algorithm", "AES128"), 400, "InvalidEncryptionAlgorithmError"),
        (set_("key", "c2hvcnQ="), 400, "InvalidArgument"),
        (set_("key-MD5", "d41d8cd98f00b204e9800998ecf8427e"), 400, "InvalidArgument"),
        (lambda h: sse_headers("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="), 400, "InvalidArgument"),
    ]:
        r = put(client, domain, job, change)
        assert (r.status_code, f"<Code>{code}</Code>" in r.text) == (status, True), r.text
        assert r.headers["Content-Type"] == "application/xml"
        if code == "InvalidArgument":
            assert "base64(md5(base64decode(ClientToken)))" in r.text
    for url in (lambda u: u.replace("X-Amz-Expires=900", "X-Amz-Expires=901"), lambda u: u[:-4] + "0000",
                lambda u: u.replace(job, UNKNOWN)):
        r = put(client, domain, job, url=url)
        assert r.status_code == 403 and "<Code>SignatureDoesNotMatch</Code>" in r.text
    r = put(client, domain, job, lambda h: {**h, "Content-MD5": "AAAAAAAAAAAAAAAAAAAAAA=="})
    assert r.status_code == 400 and "BadDigest" in r.text
    r = put(client, domain, job, lambda h: {**h, "x-amz-checksum-crc32": "AAAAAA=="})
    assert r.status_code == 400 and "BadDigest" in r.text
    with pytest.raises(client.exceptions.BadRequestException):
        client.start_upload_job(DomainName=domain, JobId=job)
    path = client.get_upload_job_path(DomainName=domain, JobId=job)
    assert upload(client, domain, job, "id\n1\n").status_code == 200
    client.start_upload_job(DomainName=domain, JobId=job)
    wait(client, domain, job)
    r = requests.put(path["Url"], data="id\n2\n", headers=sse_headers(path["ClientToken"]), timeout=60)
    assert r.status_code == 403 and "<Code>AccessDenied</Code>" in r.text


def test_signatures(endpoint):
    wrong = make_client(endpoint, secret="wrong")
    with pytest.raises(ClientError) as e:
        wrong.list_domains()
    assert e.value.response["Error"]["Code"] == "InvalidSignatureException"
    nobody = make_client(endpoint, key="KITHNOBODY")
    with pytest.raises(ClientError) as e:
        nobody.list_domains()
    assert e.value.response["Error"]["Code"] == "UnrecognizedClientException"
    r = requests.get(endpoint + "/domains", timeout=10)
    assert r.status_code == 403 and r.headers["x-amzn-ErrorType"] == "MissingAuthenticationTokenException"
    assert r.json()["message"] == "Missing Authentication Token" and r.headers["x-amzn-RequestId"]


def test_not_built_yet(client, domain):
    with pytest.raises(ClientError) as e:
        client.list_calculated_attribute_definitions(DomainName=domain)
    assert e.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
    assert e.value.response["Error"]["Code"] == "NotImplementedException" and "ListCalculatedAttributeDefinitions" in str(e.value)


def test_bad_files(client, domain):
    def run(data):
        job = new_job(client, domain)
        assert upload(client, domain, job, data).status_code == 200
        client.start_upload_job(DomainName=domain, JobId=job)
        return wait(client, domain, job)

    for data in (b"", b"other\n1\n", b"id,id\n1,2\n", b"id\xff\n1\n", b'"id\n1\n'):
        end = run(data)
        assert (end["Status"], end["StatusReason"]) == ("FAILED", "VALIDATION_FAILURE"), data
    assert run(b"id\n")["Status"] == "SUCCEEDED"
    end = run(b"id,x\n1,2\n3\n4,5,6\n,7\n8,\xc3\xa9t\xc3\xa9 No\xc3\xabl \xc3\xa0 \xff\n9,\x00\n\"10\n")
    s = end["ResultsSummary"]
    assert end["Status"] == "PARTIALLY_SUCCEEDED"
    assert (s["CreatedRecords"], s["UpdatedRecords"], s["FailedRecords"]) == (2, 0, 5)  # a short row is blank at its end
