"""ListProfileHistoryRecords and GetProfileHistoryRecord: imports, merges, deletions, and that an undo is told."""
import json
import time

import pytest
from botocore.exceptions import ClientError

from conftest import run_job
from test_additions import kith  # noqa: F401  (a fixture)
from test_merge import FIELDS, profile_id


def history(client, domain, profile, **filters):
    return client.list_profile_history_records(DomainName=domain, ProfileId=profile, **filters)["ProfileHistoryRecords"]


def content(client, domain, profile, record):
    return json.loads(client.get_profile_history_record(DomainName=domain, ProfileId=profile, Id=record["Id"])["Content"])


def undo(kith, domain, job):  # noqa: F811
    deadline = time.time() + 30
    while kith.undo_upload_job(DomainName=domain, JobId=job)["UndoStatus"] != "UNDONE":
        assert time.time() < deadline
        time.sleep(0.05)


def test_history(client, kith, domain):  # noqa: F811
    head = b"id,first,last,mail,city,tier\n"
    first = run_job(client, domain, FIELDS, "id", head + b"1,Ann,Lee,ann@x.com,,\n2,Bo,,,,\n")["JobId"]
    second = run_job(client, domain, FIELDS, "id", head + b"1,Anna,,,,gold\n3,New,,,,\n")["JobId"]
    one, two, three = (profile_id(client, domain, n) for n in "123")
    client.merge_profiles(DomainName=domain, MainProfileId=one, ProfileIdsToBeMerged=[two])

    records = history(client, domain, one)
    assert [(r["ActionType"], r["ObjectTypeName"]) for r in records] == [
        ("MERGED", "_profile"), ("INGESTED", "_profile"), ("INGESTED", "_profile"),
    ]
    assert records[0]["PerformedBy"].startswith("arn:aws:iam::000000000000:user/")
    assert [r["PerformedBy"] for r in records[1:]] == [f"upload-job/{second}", f"upload-job/{first}"]
    assert all(len(r["Id"]) == 32 for r in records)
    assert records[0]["CreatedAt"] >= records[1]["CreatedAt"] >= records[2]["CreatedAt"]
    then = [content(client, domain, one, r) for r in records]
    assert [c["FirstName"] for c in then] == ["Anna", "Anna", "Ann"]
    assert "Attributes" not in then[2] and then[1]["Attributes"] == {"tier": "gold"}

    gone = history(client, domain, two)
    assert [r["ActionType"] for r in gone] == ["DELETED_BY_MERGE", "INGESTED"]
    assert "Content" not in client.get_profile_history_record(DomainName=domain, ProfileId=two, Id=gone[0]["Id"])

    # What was undone is told, by the profile that stays and by the one that is gone.
    undo(kith, domain, second)
    records = history(client, domain, one)
    assert [(r["ActionType"], r["PerformedBy"].split("/", 1)[1]) for r in records if "upload-job" in r["PerformedBy"]] == [
        ("UPDATED", f"{second}/undo"), ("INGESTED", second), ("INGESTED", first),
    ]
    assert content(client, domain, one, records[0])["FirstName"] == "Ann"
    gone = history(client, domain, three)
    assert [(r["ActionType"], r["PerformedBy"]) for r in gone] == [
        ("DELETED_BY_CUSTOMER", f"upload-job/{second}/undo"), ("INGESTED", f"upload-job/{second}"),
    ]
    untouched = history(client, domain, two)
    assert [r["ActionType"] for r in untouched] == ["DELETED_BY_MERGE", "INGESTED"]

    # Filters are exact; pages are complete.
    assert len(history(client, domain, one, ActionType="INGESTED")) == 2
    assert len(history(client, domain, one, PerformedBy=f"upload-job/{first}")) == 1
    assert len(history(client, domain, one, ObjectTypeName="_profile")) == 4
    assert history(client, domain, one, ObjectTypeName="other") == []
    paged, token = [], {}
    while True:
        page = client.list_profile_history_records(DomainName=domain, ProfileId=one, MaxResults=1, **token)
        paged += page["ProfileHistoryRecords"]
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    assert paged == records

    client.delete_profile(DomainName=domain, ProfileId=one)
    assert history(client, domain, one)[0]["ActionType"] == "DELETED_BY_CUSTOMER"
    for call in (
        lambda: history(client, domain, "ab" * 16),
        lambda: client.get_profile_history_record(DomainName=domain, ProfileId=one, Id="ab" * 16),
    ):
        with pytest.raises(ClientError) as e:
            call()
        assert e.value.response["Error"]["Code"] == "ResourceNotFoundException"
