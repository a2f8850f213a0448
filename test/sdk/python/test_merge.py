"""MergeProfiles through boto3: the rules for fields, keys that move, later imports and undo that follow."""
import pytest
from botocore.exceptions import ClientError

from conftest import run_job, summary

FIELDS = {
    "id": {"Source": "_source.id", "Target": "_profile.AccountNumber"},
    "first": {"Source": "_source.first", "Target": "_profile.FirstName"},
    "last": {"Source": "_source.last", "Target": "_profile.LastName"},
    "mail": {"Source": "_source.mail", "Target": "_profile.EmailAddress", "ContentType": "EMAIL_ADDRESS"},
    "city": {"Source": "_source.city", "Target": "_profile.Address.City"},
    "tier": {"Source": "_source.tier", "Target": "_profile.Attributes.tier"},
}


def find(client, domain, key, value):
    return client.search_profiles(DomainName=domain, KeyName=key, Values=[value])["Items"]


def profile_id(client, domain, account):
    (found,) = find(client, domain, "_account", account)
    return found["ProfileId"]


def test_merge_and_what_follows(client, domain):
    data = b"id,first,last,mail,city,tier\n1,Ann,,ann@x.com,Oslo,\n2,Anna,Lee,lee@x.com,Rome,gold\n3,Bo,,,,\n"
    assert summary(run_job(client, domain, FIELDS, "id", data)) == (3, 0, 0)
    main, other = profile_id(client, domain, "1"), profile_id(client, domain, "2")
    got = client.merge_profiles(
        DomainName=domain, MainProfileId=main, ProfileIdsToBeMerged=[other],
        FieldSourceProfileIds={"EmailAddress": other, "Address": main},
    )
    assert got["Message"]
    (found,) = find(client, domain, "_email", "lee@x.com")
    assert found["ProfileId"] == main
    assert (found["FirstName"], found["LastName"], found["EmailAddress"]) == ("Ann", "Lee", "lee@x.com")
    assert found["Address"] == {"City": "Oslo"} and found["Attributes"] == {"tier": "gold"}
    batch = client.batch_get_profile(DomainName=domain, ProfileIds=[main, other])
    assert [p["ProfileId"] for p in batch["Profiles"]] == [main]
    assert [(e["ProfileId"], e["Code"]) for e in batch["Errors"]] == [(other, "ResourceNotFoundException")]
    assert find(client, domain, "_profileId", other) == []
    assert client.get_domain(DomainName=domain)["Stats"]["ProfileCount"] == 2

    later = run_job(client, domain, FIELDS, "id", b"id,first,last,mail,city,tier\n2,Zoe,,,,\n")
    assert summary(later) == (0, 1, 0)
    (found,) = find(client, domain, "_profileId", main)
    assert found["FirstName"] == "Zoe"

    client.delete_profile(DomainName=domain, ProfileId=main)
    assert find(client, domain, "_email", "lee@x.com") == []


@pytest.mark.parametrize("change,words", [
    (lambda a, b: {"ProfileIdsToBeMerged": [a]}, "names the main profile"),
    (lambda a, b: {"ProfileIdsToBeMerged": [b, b]}, "twice"),
    (lambda a, b: {"ProfileIdsToBeMerged": ["ab" * 16]}, "Unknown profile IDs: " + "ab" * 16),
    (lambda a, b: {"FieldSourceProfileIds": {"Gender": "ab" * 16}}, "not one of the profiles of this merge"),
])
def test_merge_refusals(client, domain, change, words):
    run_job(client, domain, FIELDS, "id", b"id,first,last,mail,city,tier\n1,Ann,,,,\n2,Bo,,,,\n")
    a, b = profile_id(client, domain, "1"), profile_id(client, domain, "2")
    with pytest.raises(ClientError) as e:
        client.merge_profiles(**{"DomainName": domain, "MainProfileId": a, "ProfileIdsToBeMerged": [b], **change(a, b)})
    assert e.value.response["Error"]["Code"] == "BadRequestException"
    assert words in str(e.value)
    assert len(find(client, domain, "_account", "2")) == 1
