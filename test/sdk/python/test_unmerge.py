"""UnmergeProfiles, an addition: every profile of a merge is back, and what was written since stays with the main one."""
import pytest
from botocore.exceptions import ClientError

from test_additions import kith  # noqa: F401  (a fixture)
from test_history import history
from test_profiles_write import create, read, search


def test_unmerge(client, kith, domain):  # noqa: F811
    main = create(client, domain, FirstName="Ann", EmailAddress="ann@x.com")
    one = create(client, domain, FirstName="Bo", LastName="Lee", EmailAddress="bo@x.com")
    two = create(client, domain, AccountNumber="2", Attributes={"tier": "gold"})
    before = [read(client, domain, p) for p in (main, one, two)]
    client.add_profile_key(DomainName=domain, ProfileId=one, KeyName="k", Values=["1"])
    was = [history(client, domain, p) for p in (main, one, two)]
    client.merge_profiles(DomainName=domain, MainProfileId=main, ProfileIdsToBeMerged=[one, two])
    client.update_profile(DomainName=domain, ProfileId=main, MiddleName="Q")
    (merged,) = history(client, domain, main, ActionType="MERGED")
    items = kith.unmerge_profiles(DomainName=domain, ProfileIds=[one])["Items"]
    assert sorted(i["ProfileId"] for i in items) == sorted([one, two]), "the whole merge is taken back"
    assert {i["MainProfileId"] for i in items} == {main} and len({i["MergeId"] for i in items}) == 1
    assert [read(client, domain, p) for p in (main, one, two)] == [before[0] | {"MiddleName": "Q"}, before[1], before[2]]
    assert search(client, domain, "k", "1") == search(client, domain, "_email", "bo@x.com") == [one]
    assert search(client, domain, "_account", "2") == [two]

    # The merge stays in the histories, under the same ids, and so does what was there before.
    now = [history(client, domain, p) for p in (main, one, two)]
    assert [[r["ActionType"] for r in h] for h in now] == [
        ["UPDATED", "UPDATED", "MERGED", "CREATED"],
        ["CREATED", "DELETED_BY_MERGE", "ADDED_PROFILE_KEY", "CREATED"],
        ["CREATED", "DELETED_BY_MERGE", "CREATED"],
    ]
    assert now[0][2] == merged
    for h, w in zip(now, was):
        assert h[-len(w):] == w
    assert now[1][0]["PerformedBy"].startswith("arn:aws:iam::")

    # It can be merged again, and taken back by the merge's id.
    client.merge_profiles(DomainName=domain, MainProfileId=one, ProfileIdsToBeMerged=[two])
    again = kith.unmerge_profiles(DomainName=domain, ProfileIds=[two])["Items"][0]["MergeId"]
    with pytest.raises(ClientError) as e:
        kith.unmerge_profiles(DomainName=domain, MergeId=again)
    assert e.value.response["Error"]["Code"] == "ResourceNotFoundException"


@pytest.mark.parametrize("request_", [{}, {"MergeId": "ab" * 12, "ProfileIds": ["ab" * 16]}])
def test_unmerge_of_nothing(kith, domain, request_):  # noqa: F811
    with pytest.raises(ClientError) as e:
        kith.unmerge_profiles(DomainName=domain, **request_)
    assert e.value.response["Error"]["Code"] == "BadRequestException"


def test_unmerge_what_was_not_merged(client, kith, domain):  # noqa: F811
    for request_ in ({"ProfileIds": [create(client, domain)]}, {"MergeId": "ab" * 12}, {"ProfileIds": ["ab" * 16]}):
        with pytest.raises(ClientError) as e:
            kith.unmerge_profiles(DomainName=domain, **request_)
        assert e.value.response["Error"]["Code"] == "ResourceNotFoundException"
