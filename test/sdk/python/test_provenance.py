"""GetProfileProvenance, an addition: where each value comes from, and what it won against."""
import pytest
from botocore.exceptions import ClientError

from conftest import run_job
from test_additions import kith  # noqa: F401  (a fixture)
from test_merge import FIELDS, profile_id
from test_profiles_write import create


def fields(kith, domain, profile):  # noqa: F811
    got = kith.get_profile_provenance(DomainName=domain, ProfileId=profile)
    assert got["ProfileId"] == profile
    return {f["Field"]: f for f in got["Fields"]}


def test_provenance(client, kith, domain):  # noqa: F811
    first = run_job(client, domain, FIELDS, "id", b"id,first,last,mail,city,tier\n0,,,,,\n1,Ann,Lee,ann@x.com,,tin\n")["JobId"]
    one = profile_id(client, domain, "1")
    client.update_profile(DomainName=domain, ProfileId=one, FirstName="Anna", Address={"City": "Rome"})
    second = run_job(client, domain, FIELDS, "id", b"id,first,last,mail,city,tier\n1,,,,,gold\n", DataExpiry=30)["JobId"]
    got = fields(kith, domain, one)
    assert sorted(got) == ["AccountNumber", "Address.City", "Attributes.tier", "EmailAddress", "FirstName", "LastName"]

    last = got["LastName"]["Current"]
    assert (last["Value"], last["Kind"], last["JobId"], last["RowNumber"], last["ProfileId"]) == ("Lee", "IMPORT", first, 2, one)
    assert got["LastName"]["Lost"] == [] and got["LastName"]["LostCount"] == 0
    assert 13 <= (last["ExpiresAt"] - last["WrittenAt"]).days <= 14

    name = got["FirstName"]
    assert (name["Current"]["Value"], name["Current"]["Kind"]) == ("Anna", "BY_HAND")
    assert name["Current"]["PerformedBy"].startswith("arn:aws:iam::000000000000:user/") and "JobId" not in name["Current"]
    assert [(v["Value"], v["Kind"], v["JobId"]) for v in name["Lost"]] == [("Ann", "IMPORT", first)]
    assert name["LostCount"] == 1 and name["Current"]["WrittenAt"] > name["Lost"][0]["WrittenAt"]

    tier = got["Attributes.tier"]
    assert (tier["Current"]["Value"], tier["Current"]["JobId"], tier["Current"]["RowNumber"]) == ("gold", second, 1)
    assert [(v["Value"], v["JobId"]) for v in tier["Lost"]] == [("tin", first)]

    # A blank set by hand has no value, and is seen among those that count for nothing else.
    client.update_profile(DomainName=domain, ProfileId=one, LastName="")
    blank = fields(kith, domain, one)["LastName"]
    assert "Current" not in blank and [(v["Value"], v["Kind"]) for v in blank["Lost"]] == [("", "BY_HAND"), ("Lee", "IMPORT")]


def test_of_merged_profiles(client, kith, domain):  # noqa: F811
    main, other = create(client, domain, FirstName="Ann"), create(client, domain, FirstName="Bo", LastName="Lee")
    client.merge_profiles(DomainName=domain, MainProfileId=main, ProfileIdsToBeMerged=[other])
    got = fields(kith, domain, main)
    assert [got[f]["Current"]["ProfileId"] for f in ("FirstName", "LastName")] == [main, other]
    assert [v["ProfileId"] for v in got["FirstName"]["Lost"]] == [other]

    # What it is made of is told, also of a merge within a merge, and can be taken back by that.
    last = create(client, domain, FirstName="Cy")
    client.merge_profiles(DomainName=domain, MainProfileId=last, ProfileIdsToBeMerged=[main])
    merges = kith.get_profile_provenance(DomainName=domain, ProfileId=last)["Merges"]
    assert [(m["MainProfileId"], m["ProfileIds"]) for m in merges] == [(last, [main]), (main, [other])]
    assert all(m["PerformedBy"].startswith("arn:aws:iam::000000000000:user/") for m in merges) and merges[0]["MergedAt"] > merges[1]["MergedAt"]
    kith.unmerge_profiles(DomainName=domain, MergeId=merges[1]["MergeId"])
    assert [m["ProfileIds"] for m in kith.get_profile_provenance(DomainName=domain, ProfileId=last)["Merges"]] == [[main]]
    assert kith.get_profile_provenance(DomainName=domain, ProfileId=other)["Merges"] == []


def test_of_many_values(client, kith, domain):  # noqa: F811
    for n in range(12):
        run_job(client, domain, FIELDS, "id", f"id,first,last,mail,city,tier\n1,n{n},,,,\n".encode())
    name = fields(kith, domain, profile_id(client, domain, "1"))["FirstName"]
    assert name["Current"]["Value"] == "n11" and [v["Value"] for v in name["Lost"]] == [f"n{n}" for n in range(10, 0, -1)]
    assert name["LostCount"] == 11


def test_of_nobody(client, kith, domain):  # noqa: F811
    gone = create(client, domain, FirstName="Ann")
    client.delete_profile(DomainName=domain, ProfileId=gone)
    for profile in (gone, "ab" * 16):
        with pytest.raises(ClientError) as e:
            kith.get_profile_provenance(DomainName=domain, ProfileId=profile)
        assert e.value.response["Error"]["Code"] == "ResourceNotFoundException"
