"""The documented flow: CreateDomain to SearchProfiles, through boto3 with requests, and through the AWS CLI with curl."""
import base64
import csv
import datetime
import hashlib
import json
import os
import subprocess
import sys
import time

import requests

from conftest import run_job, sse_headers, summary, upload, wait

DATA = os.path.join(os.path.dirname(__file__), "..", "..", "testdata")


def telco():
    path = os.path.join(DATA, "telco-customer-churn.csv")
    with open(path, newline="") as f:
        columns = next(csv.reader(f))
    fields = {
        c: {"Source": f"_source.{c}", "Target": f"_profile.Attributes.{c}", "ContentType": "STRING"} for c in columns
    }
    fields["customerID"]["Target"] = "_profile.AccountNumber"
    fields["gender"]["Target"] = "_profile.GenderString"
    return path, fields


def test_documented_flow(client, domain):
    path, fields = telco()
    job = client.create_upload_job(
        DomainName=domain, DisplayName="telco", Fields=fields, UniqueKey="customerID", DataExpiry=30
    )["JobId"]
    assert len(job) == 32

    got = client.get_upload_job_path(DomainName=domain, JobId=job)
    got.pop("ResponseMetadata")
    assert set(got) == {"Url", "ClientToken", "ValidUntil"}
    assert isinstance(got["ValidUntil"], datetime.datetime)
    assert len(got["Url"]) <= 2048
    assert len(base64.b64decode(got["ClientToken"])) == 32

    again = client.get_upload_job_path(DomainName=domain, JobId=job)
    assert again["ClientToken"] == got["ClientToken"]

    with open(path, "rb") as f:
        response = requests.put(got["Url"], data=f, headers=sse_headers(got["ClientToken"]), timeout=60)
    assert response.status_code == 200 and response.content == b"" and response.headers["ETag"]
    assert response.headers["x-amz-server-side-encryption-customer-algorithm"] == "AES256"

    assert client.get_upload_job(DomainName=domain, JobId=job)["Status"] == "CREATED"
    client.start_upload_job(DomainName=domain, JobId=job)
    end = wait(client, domain, job)
    assert end["Status"] == "SUCCEEDED" and summary(end) == (7043, 0, 0)
    assert end["Fields"] == fields and end["UniqueKey"] == "customerID" and end["DataExpiry"] == 30
    assert end["CompletedAt"] >= end["CreatedAt"] and "StatusReason" not in end

    jobs = client.list_upload_jobs(DomainName=domain)["Items"]
    assert [j["JobId"] for j in jobs] == [job] and "Fields" not in jobs[0]

    found = client.search_profiles(DomainName=domain, KeyName="_account", Values=["7590-VHVEG"])["Items"]
    assert len(found) == 1
    with open(path, newline="") as f:
        row = next(r for r in csv.DictReader(f) if r["customerID"] == "7590-VHVEG")
    profile = found[0]
    assert profile["AccountNumber"] == "7590-VHVEG" and profile["GenderString"] == row["gender"]
    assert profile["FoundByItems"] == [{"KeyName": "_account", "Values": ["7590-VHVEG"]}]
    rest = {k: v for k, v in row.items() if k not in ("customerID", "gender") and v.strip()}
    assert profile["Attributes"] == rest

    batch = client.batch_get_profile(DomainName=domain, ProfileIds=[profile["ProfileId"], "0" * 32])
    profile.pop("FoundByItems")
    assert batch["Profiles"] == [profile]
    assert batch["Errors"][0]["ProfileId"] == "0" * 32 and batch["Errors"][0]["Code"] == "ResourceNotFoundException"

    with open(path, "rb") as f:
        second = run_job(client, domain, fields, "customerID", f.read())
    assert second["Status"] == "SUCCEEDED" and summary(second) == (0, 7043, 0)
    deadline = time.time() + 60  # profiles of a domain of this size are counted a few seconds after a change
    while client.get_domain(DomainName=domain)["Stats"]["ProfileCount"] != 7043:
        assert time.time() < deadline
        time.sleep(0.1)


def test_documented_flow_with_cli_and_curl(endpoint, tmp_path):
    env = dict(
        os.environ,
        AWS_ACCESS_KEY_ID=os.environ["KITH_TEST_KEY"],
        AWS_SECRET_ACCESS_KEY=os.environ["KITH_TEST_SECRET"],
        AWS_DEFAULT_REGION="us-east-1",
        AWS_PAGER="",
    )

    def aws(*args):
        out = subprocess.run(
            [os.path.join(os.path.dirname(sys.executable), "aws"), "--endpoint-url", endpoint, "--output", "json",
             "customer-profiles", *args],
            env=env, check=True, capture_output=True, text=True,
        ).stdout
        return json.loads(out) if out.strip() else {}

    path, fields = telco()
    name = f"cli-{os.getpid()}"
    aws("create-domain", "--domain-name", name, "--default-expiration-days", "366")
    job = aws("create-upload-job", "--domain-name", name, "--display-name", "cli", "--unique-key", "customerID",
              "--fields", json.dumps(fields))["JobId"]
    got = aws("get-upload-job-path", "--domain-name", name, "--job-id", job)
    assert set(got) == {"Url", "ClientToken", "ValidUntil"}
    digest = base64.b64encode(hashlib.md5(base64.b64decode(got["ClientToken"])).digest()).decode()
    curl = subprocess.run(
        ["curl", "-sS", "-f", "-X", "PUT", "-T", path,
         "-H", "x-amz-server-side-encryption-customer-algorithm: AES256",
         "-H", "x-amz-server-side-encryption-customer-key: " + got["ClientToken"],
         "-H", "x-amz-server-side-encryption-customer-key-MD5: " + digest, got["Url"]],
        capture_output=True, text=True,
    )
    assert curl.returncode == 0, curl.stderr
    aws("start-upload-job", "--domain-name", name, "--job-id", job)
    for _ in range(60):
        end = aws("get-upload-job", "--domain-name", name, "--job-id", job)
        if end["Status"] != "IN_PROGRESS":
            break
        time.sleep(0.2)
    assert end["Status"] == "SUCCEEDED" and summary(end) == (7043, 0, 0)
    assert [j["JobId"] for j in aws("list-upload-jobs", "--domain-name", name)["Items"]] == [job]
    found = aws("search-profiles", "--domain-name", name, "--key-name", "_account", "--values", "7590-VHVEG")["Items"]
    assert found[0]["AccountNumber"] == "7590-VHVEG" and found[0]["Attributes"]["MonthlyCharges"] == "29.85"
    batch = aws("batch-get-profile", "--domain-name", name, "--profile-ids", found[0]["ProfileId"])
    assert batch["Profiles"][0]["Attributes"] == found[0]["Attributes"]
    aws("delete-domain", "--domain-name", name)


def test_febrl_headers_with_leading_blanks(client, domain):
    for name, rows in (("febrl1.csv", 1000), ("febrl3.csv", 5000)):
        path = os.path.join(DATA, name)
        with open(path, newline="") as f:
            columns = [c.strip() for c in next(csv.reader(f))]
        targets = {
            "rec_id": "AccountNumber", "given_name": "FirstName", "surname": "LastName", "suburb": "Address.City",
            "postcode": "Address.PostalCode", "state": "Address.State", "date_of_birth": "BirthDate",
        }
        fields = {
            c: {"Source": f"_source.{c}", "Target": "_profile." + targets.get(c, f"Attributes.{name[:6]}_{c}")}
            for c in columns
        }
        fields["rec_id"]["Target"] = f"_profile.Attributes.{name[:6]}_rec_id"
        with open(path, "rb") as f:
            end = run_job(client, domain, fields, "rec_id", f.read())
        assert end["Status"] == "SUCCEEDED" and summary(end) == (rows, 0, 0)


def test_search_normalises_and_combines(client, domain):
    rows = "id,first,middle,last,mail,phone\n" \
           "1,Ann,Q,Lee,Ann@Example.COM,(206) 555-0100\n" \
           "2,Bob,,Lee,bob@example.com,+1 206 555 0100\n" \
           "3,Cy,,Ray,cy@example.com,0044 20 7946 0000\n"
    fields = {
        "id": {"Source": "_source.id", "Target": "_profile.AccountNumber"},
        "first": {"Source": "_source.first", "Target": "_profile.FirstName", "ContentType": "NAME"},
        "middle": {"Source": "_source.middle", "Target": "_profile.MiddleName", "ContentType": "NAME"},
        "last": {"Source": "_source.last", "Target": "_profile.LastName", "ContentType": "NAME"},
        "mail": {"Source": "_source.mail", "Target": "_profile.EmailAddress", "ContentType": "EMAIL_ADDRESS"},
        "phone": {"Source": "_source.phone", "Target": "_profile.MobilePhoneNumber", "ContentType": "PHONE_NUMBER"},
        "label": {"Source": "{{_source.first}} {{_source.last}}", "Target": "_profile.Attributes.Label"},
    }
    assert summary(run_job(client, domain, fields, "id", rows)) == (3, 0, 0)

    def search(key, *values, **more):
        got = client.search_profiles(DomainName=domain, KeyName=key, Values=list(values), **more)
        return sorted(p["AccountNumber"] for p in got["Items"]), got

    assert search("_email", " ANN@example.com")[0] == ["1"]
    assert search("_phone", "2065550100")[0] == ["1", "2"]
    assert search("_phone", "+44 20 7946 0000")[0] == ["3"]
    assert search("_fullName", "ann  lee")[0] == ["1"]
    assert search("_fullName", "ann q lee")[0] == ["1"]
    assert search("_account", "1", "3", "9")[0] == ["1", "3"]
    assert search("_nobody", "x")[0] == []
    both, got = search("_phone", "(206) 555-0100", LogicalOperator="AND",
                       AdditionalSearchKeys=[{"KeyName": "_email", "Values": ["nobody@example.com", "bob@example.com"]}])
    assert both == ["2"]
    assert got["Items"][0]["FoundByItems"] == [
        {"KeyName": "_phone", "Values": ["(206) 555-0100"]}, {"KeyName": "_email", "Values": ["bob@example.com"]}]
    assert got["Items"][0]["Attributes"] == {"Label": "Bob Lee"}
    either, _ = search("_account", "3", AdditionalSearchKeys=[{"KeyName": "_email", "Values": ["bob@example.com"]}])
    assert either == ["2", "3"]
    seen, token = [], None
    while True:
        page = client.search_profiles(DomainName=domain, KeyName="_phone", Values=["2065550100"], MaxResults=1,
                                      **({"NextToken": token} if token else {}))
        seen += [p["AccountNumber"] for p in page["Items"]]
        token = page.get("NextToken")
        if not token:
            break
    assert sorted(seen) == ["1", "2"]

    pid = search("_account", "1")[1]["Items"][0]["ProfileId"]
    assert search("_profileId", pid)[0] == ["1"]
    assert client.delete_profile(DomainName=domain, ProfileId=pid)["Message"]
    assert search("_account", "1")[0] == [] and search("_profileId", pid)[0] == []
    assert summary(run_job(client, domain, fields, "id", rows)) == (1, 2, 0)
    assert search("_account", "1")[1]["Items"][0]["ProfileId"] != pid


def test_two_rows_of_one_key_and_ambiguous_keys(client, domain):
    fields = {
        "id": {"Source": "_source.id", "Target": "_profile.AccountNumber"},
        "mail": {"Source": "_source.mail", "Target": "_profile.EmailAddress", "ContentType": "EMAIL_ADDRESS"},
        "a": {"Source": "_source.a", "Target": "_profile.Attributes.a"},
        "b": {"Source": "_source.b", "Target": "_profile.Attributes.b"},
    }
    rows = "id,mail,a,b\n1,x@example.com,old,kept\n2,x@example.com,,\n1,,new,\n"
    assert summary(run_job(client, domain, fields, "id", rows)) == (2, 1, 0)
    one = client.search_profiles(DomainName=domain, KeyName="_account", Values=["1"])["Items"][0]
    assert one["Attributes"] == {"a": "new", "b": "kept"} and one["EmailAddress"] == "x@example.com"
    end = run_job(client, domain, fields, "mail", "id,mail,a,b\n7,X@example.com,z,\n8,y@example.com,z,\n")
    assert end["Status"] == "PARTIALLY_SUCCEEDED" and summary(end) == (1, 0, 1)


def test_second_upload_replaces_and_cut_upload_does_not(client, domain, endpoint):
    import http.client
    from urllib.parse import urlsplit

    fields = {"id": {"Source": "_source.id", "Target": "_profile.AccountNumber"}}
    job = client.create_upload_job(DomainName=domain, DisplayName="x", Fields=fields, UniqueKey="id")["JobId"]
    assert upload(client, domain, job, "id\n1\n").status_code == 200
    assert upload(client, domain, job, "id\n1\n2\n").status_code == 200
    path = client.get_upload_job_path(DomainName=domain, JobId=job)
    url = urlsplit(path["Url"])
    conn = http.client.HTTPConnection(url.netloc)
    conn.putrequest("PUT", url.path + "?" + url.query)
    for k, v in sse_headers(path["ClientToken"]).items():
        conn.putheader(k, v)
    conn.putheader("Content-Length", "1000000")
    conn.endheaders()
    conn.send(b"id\n" + b"9\n" * 1000)
    conn.close()
    time.sleep(0.2)
    client.start_upload_job(DomainName=domain, JobId=job)
    assert summary(wait(client, domain, job)) == (2, 0, 0)
