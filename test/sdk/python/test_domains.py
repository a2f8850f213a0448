"""Domains and tags."""
import uuid

import pytest

from conftest import run_job


def test_life_of_a_domain(client):
    name = "life-" + uuid.uuid4().hex[:8]
    made = client.create_domain(
        DomainName=name, DefaultExpirationDays=30, DeadLetterQueueUrl="https://sqs.example/q",
        Matching={"Enabled": True, "JobSchedule": {"DayOfTheWeek": "SUNDAY", "Time": "03:00"}}, Tags={"team": "crm"})
    assert made["DefaultExpirationDays"] == 30 and made["Tags"] == {"team": "crm"} and made["CreatedAt"] == made["LastUpdatedAt"]
    with pytest.raises(client.exceptions.BadRequestException) as e:
        client.create_domain(DomainName=name, DefaultExpirationDays=30)
    assert f"Domain {name} already exists" in e.value.response["Message"]

    got = client.get_domain(DomainName=name)
    assert got["Stats"] == {"ProfileCount": 0, "MeteringProfileCount": 0, "ObjectCount": 0, "TotalSize": 0}
    assert got["Matching"]["JobSchedule"] == {"DayOfTheWeek": "SUNDAY", "Time": "03:00"}

    changed = client.update_domain(DomainName=name, DeadLetterQueueUrl="", DefaultExpirationDays=60, Tags={"no": "change"})
    assert "DeadLetterQueueUrl" not in changed and changed["DefaultExpirationDays"] == 60
    assert changed["Tags"] == {"team": "crm"} and changed["Matching"]["Enabled"] is True
    assert changed["LastUpdatedAt"] > changed["CreatedAt"]

    arn = f"arn:aws:profile:us-east-1:000000000000:domains/{name}"
    client.tag_resource(resourceArn=arn, tags={"env": "test", "team": "sales"})
    client.untag_resource(resourceArn=arn, tagKeys=["env", "absent"])
    assert client.list_tags_for_resource(resourceArn=arn)["tags"] == {"team": "sales"}
    with pytest.raises(client.exceptions.BadRequestException):
        client.tag_resource(resourceArn=arn, tags={f"k{chr(97 + i // 26)}{chr(97 + i % 26)}": "v" for i in range(50)})
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.list_tags_for_resource(resourceArn=arn + "x")

    assert client.delete_domain(DomainName=name)["Message"] == "Domain Deleted"
    for call in (client.get_domain, client.delete_domain):
        with pytest.raises(client.exceptions.ResourceNotFoundException):
            call(DomainName=name)
    client.create_domain(DomainName=name, DefaultExpirationDays=1)
    assert client.get_domain(DomainName=name)["Stats"]["ProfileCount"] == 0
    client.delete_domain(DomainName=name)


def test_paging(client):
    prefix = "page-" + uuid.uuid4().hex[:8]
    names = [f"{prefix}-{i}" for i in range(7)]
    for n in names:
        client.create_domain(DomainName=n, DefaultExpirationDays=1)
    for size in (1, 3, 100):
        seen, token = [], None
        while True:
            page = client.list_domains(MaxResults=size, **({"NextToken": token} if token else {}))
            assert len(page["Items"]) <= size
            seen += [d["DomainName"] for d in page["Items"]]
            token = page.get("NextToken")
            if not token:
                break
        assert [n for n in seen if n.startswith(prefix)] == names and len(seen) == len(set(seen))
    token = client.list_domains(MaxResults=1)["NextToken"]
    for bad in (token[:-2] + "xx", "zz"):
        with pytest.raises(client.exceptions.BadRequestException):
            client.list_domains(MaxResults=1, NextToken=bad)
    with pytest.raises(client.exceptions.BadRequestException):
        client.list_upload_jobs(DomainName=names[0], NextToken=token)
    for n in names:
        client.delete_domain(DomainName=n)


def test_page_tokens_are_bound(client, domain):
    other = "bound-" + uuid.uuid4().hex[:8]
    client.create_domain(DomainName=other, DefaultExpirationDays=1)
    fields = {"id": {"Source": "_source.id", "Target": "_profile.AccountNumber"},
              "p": {"Source": "_source.p", "Target": "_profile.PhoneNumber", "ContentType": "PHONE_NUMBER"}}
    for _ in range(2):
        client.create_upload_job(DomainName=domain, DisplayName="j", Fields=fields, UniqueKey="id")
    token = client.list_upload_jobs(DomainName=domain, MaxResults=1)["NextToken"]
    assert client.list_upload_jobs(DomainName=domain, MaxResults=5, NextToken=token)["Items"]
    with pytest.raises(client.exceptions.BadRequestException):
        client.list_upload_jobs(DomainName=other, MaxResults=1, NextToken=token)
    run_job(client, domain, fields, "id", "id,p\n1,2065550100\n2,2065550100\n")
    search = dict(DomainName=domain, KeyName="_phone", MaxResults=1)
    token = client.search_profiles(Values=["2065550100"], **search)["NextToken"]
    assert client.search_profiles(Values=["2065550100"], NextToken=token, **search)["Items"]
    with pytest.raises(client.exceptions.BadRequestException):
        client.search_profiles(Values=["+1 206 555 0100"], NextToken=token, **search)
    client.delete_domain(DomainName=other)


def test_upload_jobs_newest_first_with_paginator(client, domain):
    fields = {"id": {"Source": "_source.id", "Target": "_profile.AccountNumber"}}
    made = [client.create_upload_job(DomainName=domain, DisplayName=f"j{i}", Fields=fields, UniqueKey="id")["JobId"]
            for i in range(5)]
    pages = client.get_paginator("list_upload_jobs").paginate(DomainName=domain, PaginationConfig={"PageSize": 2})
    assert [j["JobId"] for p in pages for j in p["Items"]] == made[::-1]
