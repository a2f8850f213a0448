"""Identity resolution as its user meets it: jobs, matches, previews, automatic merges, reasons, answers, and the way back."""
import time
import uuid

import pytest
from botocore.exceptions import ClientError

from conftest import run_job
from test_additions import kith  # noqa: F401  (a fixture)
from test_history import history

FIELDS = {
    "id": {"Source": "_source.id", "Target": "_profile.AccountNumber"},
    "first": {"Source": "_source.first", "Target": "_profile.FirstName"},
    "last": {"Source": "_source.last", "Target": "_profile.LastName"},
    "mail": {"Source": "_source.mail", "Target": "_profile.EmailAddress", "ContentType": "EMAIL_ADDRESS"},
    "phone": {"Source": "_source.phone", "Target": "_profile.PhoneNumber", "ContentType": "PHONE_NUMBER"},
    "birth": {"Source": "_source.birth", "Target": "_profile.BirthDate"},
    "street": {"Source": "_source.street", "Target": "_profile.Address.Address1"},
    "city": {"Source": "_source.city", "Target": "_profile.Address.City"},
    "zip": {"Source": "_source.zip", "Target": "_profile.Address.PostalCode"},
}
FIRST = ["Anna", "Bruno", "Carla", "David", "Elena", "Felix", "Greta", "Henry", "Ines", "Jonas", "Karin", "Louis", "Marta", "Niels", "Olga", "Pablo", "Quinn", "Rosa", "Stefan", "Tilda"]
LAST = ["Abend", "Berger", "Castro", "Dupont", "Ekdahl", "Fischer", "Garcia", "Hansen", "Ivanova", "Jensen", "Keller", "Lindqvist", "Moreau", "Novak", "Okafor", "Petrov", "Quispe", "Rossi", "Silva", "Tanaka"]


def rows(n=200):
    """A file of n people, every tenth of whom stands twice, once with typing errors."""
    out = ["id,first,last,mail,phone,birth,street,city,zip"]
    for i in range(n):
        first, last = FIRST[i % 20], LAST[(i // 20 + 7 * i) % 20]
        cells = [f"{first}.{last}{i}@example.com".lower(), f"+1206555{1000 + i}", f"{1940 + i % 60}-{1 + i % 12:02}-{1 + i % 28:02}", f"{10 + i} Elm Street", f"Town{i % 17}", f"{10000 + 37 * i}"]
        out.append(",".join([f"a{i}", first, last] + cells))
        if i % 10 == 0:
            out.append(",".join([f"b{i}", first[:-1] + "e", last, cells[0], "", cells[2], cells[3].replace("Street", "St"), cells[4], cells[5]]))
    return ("\n".join(out) + "\n").encode()


def enable(client, domain, *criteria, **more):
    merging = {"AutoMerging": {"Enabled": True, "Consolidation": {"MatchingAttributesList": list(criteria)}, **more}} if criteria else {}
    client.update_domain(DomainName=domain, Matching={"Enabled": True, **merging})


def match(client, kith, domain, seconds=60):  # noqa: F811
    job = kith.start_identity_resolution_job(DomainName=domain)["JobId"]
    deadline = time.time() + seconds
    while time.time() < deadline:
        got = client.get_identity_resolution_job(DomainName=domain, JobId=job)
        if "JobEndTime" in got:
            return got
        time.sleep(0.05)
    raise AssertionError(f"the job did not end: {got}")


def refused(code, call, **request):
    with pytest.raises(ClientError) as e:
        call(**request)
    assert e.value.response["Error"]["Code"] == code, e.value.response
    return e.value.response["Message"] if "Message" in e.value.response else e.value.response["Error"]["Message"]


def all_matches(client, domain, size=7):
    found, more = [], {}
    while True:
        page = client.get_matches(DomainName=domain, MaxResults=size, **more)
        assert len(page["Matches"]) <= size
        found += page["Matches"]
        if "NextToken" not in page:
            return found
        more = {"NextToken": page["NextToken"]}


def accounts(client, domain, ids):
    return sorted(p["AccountNumber"] for p in client.batch_get_profile(DomainName=domain, ProfileIds=ids)["Profiles"])


def profile(client, domain, account):
    (found,) = client.search_profiles(DomainName=domain, KeyName="_account", Values=[account])["Items"]
    return found["ProfileId"]


def test_jobs_of_a_schedule(client, domain):
    assert client.list_identity_resolution_jobs(DomainName=domain)["IdentityResolutionJobsList"] == []
    client.update_domain(DomainName=domain, Matching={"Enabled": True, "JobSchedule": {"DayOfTheWeek": "MONDAY", "Time": "8:05"}})
    (job,) = client.list_identity_resolution_jobs(DomainName=domain)["IdentityResolutionJobsList"]
    assert job["Status"] == "PENDING" and job["DomainName"] == domain and job["JobStartTime"].strftime("%H:%M") == "08:05"
    assert 0 < job["JobStartTime"].timestamp() - time.time() <= 86400, "the first one runs within a day"
    got = client.get_identity_resolution_job(DomainName=domain, JobId=job["JobId"])
    assert got["Status"] == "PENDING" and got["JobStats"]["NumberOfProfilesReviewed"] == 0 and "JobEndTime" not in got
    client.update_domain(DomainName=domain, Matching={"Enabled": False})
    assert client.list_identity_resolution_jobs(DomainName=domain)["IdentityResolutionJobsList"] == []
    refused("ResourceNotFoundException", client.get_identity_resolution_job, DomainName=domain, JobId=job["JobId"])


def test_matching_that_is_not_enabled(client, kith, domain):  # noqa: F811
    for call, request in [(client.get_matches, {}), (kith.start_identity_resolution_job, {}),
                          (client.get_similar_profiles, dict(MatchType="ML_BASED_MATCHING", SearchKey="matchId", SearchValue="ab" * 16)),
                          (client.get_auto_merging_preview, dict(Consolidation={"MatchingAttributesList": [["LastName"]]}, ConflictResolution={"ConflictResolvingModel": "RECENCY"}))]:
        assert "not enabled" in refused("BadRequestException", call, DomainName=domain, **request)


def test_an_empty_domain(client, kith, domain):  # noqa: F811
    enable(client, domain, ["EmailAddress"])
    assert client.get_matches(DomainName=domain)["PotentialMatches"] == 0
    job = match(client, kith, domain)
    assert job["Status"] == "COMPLETED" and job["JobStats"] == {"NumberOfProfilesReviewed": 0, "NumberOfMatchesFound": 0, "NumberOfMergesDone": 0}
    got = client.get_matches(DomainName=domain)
    assert got["Matches"] == [] and got["PotentialMatches"] == 0 and "MatchGenerationDate" in got
    assert kith.list_identity_resolution_job_merges(DomainName=domain, JobId=job["JobId"])["Items"] == []


def test_answers_are_about_profiles_that_are_there(client, kith, domain):  # noqa: F811
    a = client.create_profile(DomainName=domain, FirstName="Ann")["ProfileId"]
    b = client.create_profile(DomainName=domain, FirstName="Ann")["ProfileId"]
    assert "twice" in refused("BadRequestException", kith.put_match_answer, DomainName=domain, ProfileIds=[a, a], Answer="SAME")
    refused("ResourceNotFoundException", kith.put_match_answer, DomainName=domain, ProfileIds=[a, "ab" * 16], Answer="SAME")
    got = kith.put_match_answer(DomainName=domain, ProfileIds=[b, a], Answer="SAME")
    assert got["ProfileIds"] == sorted([a, b]) and got["Answer"] == "SAME"
    kith.put_match_answer(DomainName=domain, ProfileIds=[a, b], Answer="NOT_SAME")
    (one,) = kith.list_match_answers(DomainName=domain)["Items"]
    assert one["Answer"] == "NOT_SAME" and one["AnsweredBy"].startswith("arn:aws:iam::")
    client.merge_profiles(DomainName=domain, MainProfileId=a, ProfileIdsToBeMerged=[b])
    assert "UnmergeMatch" in refused("BadRequestException", kith.put_match_answer, DomainName=domain, ProfileIds=[a, b], Answer="NOT_SAME")


@pytest.mark.parametrize("preview, text", [
    (dict(Consolidation={"MatchingAttributesList": [["Surname"]]}, ConflictResolution={"ConflictResolvingModel": "RECENCY"}), "Surname"),
    (dict(Consolidation={"MatchingAttributesList": [["LastName"]]}, ConflictResolution={"ConflictResolvingModel": "SOURCE"}), "SourceName"),
])
def test_previews_that_are_refused(client, domain, preview, text):
    enable(client, domain)
    assert text in refused("BadRequestException", client.get_auto_merging_preview, DomainName=domain, **preview)


def test_an_export_that_this_server_may_not_write(client):
    name = "m-" + uuid.uuid4().hex[:8]
    matching = {"Enabled": True, "ExportingConfig": {"S3Exporting": {"S3BucketName": "bucket", "S3KeyName": "../../etc"}}}
    refused("BadRequestException", client.create_domain, DomainName=name, DefaultExpirationDays=1, Matching=matching)
    refused("ResourceNotFoundException", client.get_domain, DomainName=name)
