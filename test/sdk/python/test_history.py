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


def pages(client, domain, profile, size, **filters):
    records, token = [], {}
    while True:
        page = client.list_profile_history_records(DomainName=domain, ProfileId=profile, MaxResults=size, **filters, **token)
        assert len(page["ProfileHistoryRecords"]) <= size
        records += page["ProfileHistoryRecords"]
        if "NextToken" not in page:
            return records
        token = {"NextToken": page["NextToken"]}


def test_writes_by_hand(client, domain):
    """What API calls do is told, between what imports do, with the profile or key as it was after it."""
    one = client.create_profile(DomainName=domain, FirstName="Ann", EmailAddress="a@x.com", Attributes={"n": "0"})["ProfileId"]
    client.update_profile(DomainName=domain, ProfileId=one, FirstName="Anna", Attributes={"n": "1"})
    client.add_profile_key(DomainName=domain, ProfileId=one, KeyName="_account", Values=["1", "x"])
    job = run_job(client, domain, FIELDS, "id", b"id,first,last,mail,city,tier\n1,,Lee,,,\n")["JobId"]
    client.delete_profile_key(DomainName=domain, ProfileId=one, KeyName="_account", Values=["x"])
    client.update_profile(DomainName=domain, ProfileId=one, FirstName="")
    records = history(client, domain, one)
    assert [(r["ActionType"], r["ObjectTypeName"]) for r in records] == [
        (action, "_profile") for action in ("UPDATED", "DELETED_PROFILE_KEY", "INGESTED", "ADDED_PROFILE_KEY", "UPDATED", "CREATED")
    ]
    assert all(r["PerformedBy"].startswith("arn:aws:iam::000000000000:user/") for r in records if r["ActionType"] != "INGESTED")
    assert records[2]["PerformedBy"] == f"upload-job/{job}"
    assert len({r["Id"] for r in records}) == 6
    then = [content(client, domain, one, r) for r in records]
    assert then[1] == {"KeyName": "_account", "Values": ["x"]} and then[3] == {"KeyName": "_account", "Values": ["1", "x"]}
    assert [c.get("FirstName") for c in (then[0], then[4], then[5])] == [None, "Anna", "Ann"]
    assert [c["Attributes"]["n"] for c in (then[0], then[2], then[4], then[5])] == ["1", "1", "1", "0"]
    assert "LastName" not in then[4] and then[0]["LastName"] == then[2]["LastName"] == "Lee"
    for size in (1, 2, 4, 100):
        assert pages(client, domain, one, size) == records
    assert pages(client, domain, one, 1, ActionType="UPDATED") == [records[0], records[4]]

    # A page goes on where the last one ended, whatever has come since.
    page = client.list_profile_history_records(DomainName=domain, ProfileId=one, MaxResults=2)
    client.update_profile(DomainName=domain, ProfileId=one, FirstName="Zoe")
    rest = client.list_profile_history_records(DomainName=domain, ProfileId=one, MaxResults=100, NextToken=page["NextToken"])
    assert page["ProfileHistoryRecords"] + rest["ProfileHistoryRecords"] == records

    # Of a profile that was deleted only ids, times and actions stay.
    before = history(client, domain, one)
    client.delete_profile(DomainName=domain, ProfileId=one)
    after = history(client, domain, one)
    assert [r["ActionType"] for r in after] == ["DELETED_BY_CUSTOMER", "UPDATED", "UPDATED", "DELETED_PROFILE_KEY", "ADDED_PROFILE_KEY", "UPDATED", "CREATED"]
    assert [r["Id"] for r in after[1:]] == [r["Id"] for r in before if r["ActionType"] != "INGESTED"]
    for r in after:
        assert "Content" not in client.get_profile_history_record(DomainName=domain, ProfileId=one, Id=r["Id"])


def test_writes_to_a_merged_profile(client, domain):
    main, other = (client.create_profile(DomainName=domain, FirstName=n)["ProfileId"] for n in ("Ann", "Bo"))
    client.add_profile_key(DomainName=domain, ProfileId=other, KeyName="k", Values=["1"])
    client.merge_profiles(DomainName=domain, MainProfileId=main, ProfileIdsToBeMerged=[other])
    client.delete_profile_key(DomainName=domain, ProfileId=main, KeyName="k", Values=["1"])
    client.update_profile(DomainName=domain, ProfileId=main, LastName="Lee")
    assert [r["ActionType"] for r in history(client, domain, main)] == ["UPDATED", "DELETED_PROFILE_KEY", "MERGED", "CREATED"]
    assert [r["ActionType"] for r in history(client, domain, other)] == ["DELETED_BY_MERGE", "ADDED_PROFILE_KEY", "CREATED"]
    assert content(client, domain, main, history(client, domain, main)[0])["FirstName"] == "Ann"
