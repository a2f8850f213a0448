"""Identity resolution as its user meets it: jobs, matches, previews, automatic merges, reasons, answers, and the way back."""
import random
import time
import uuid

import pytest
from botocore.exceptions import ClientError

from conftest import run_job
from test_additions import kith  # noqa: F401  (a fixture)
from test_history import history
from test_rule_matches import eventually, rules, settles, turn_on

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


STREETS = ["Elm Street", "High Street", "Station Road", "Mill Lane", "Church Row", "Oak Avenue", "Harbour Way", "Kings Road", "Park Drive", "Lindenweg", "Calle Mayor", "Rue Pasteur"]


def rows(n=200):
    """A file of n people, every tenth of whom stands twice, the second time with a typing error and without a phone number."""
    r = random.Random(7)
    out = ["id,first,last,mail,phone,birth,street,city,zip"]
    for i in range(n):
        first, last = r.choice(FIRST), r.choice(LAST)
        mail = f"{first}.{last}{r.randrange(1000)}@{r.choice(['example.com', 'example.org', 'example.net'])}".lower()
        birth = f"{r.randrange(1935, 2005)}-{r.randrange(1, 13):02}-{r.randrange(1, 29):02}"
        home = [f"{r.randrange(1, 400)} {r.choice(STREETS)}", f"Town{r.randrange(40)}", f"{r.randrange(10000, 99999)}"]
        out.append(",".join([f"a{i}", first, last, mail, f"+1206{r.randrange(2000000, 9999999)}", birth] + home))
        if i % 10 == 0:
            out.append(",".join([f"b{i}", first[:-1] + "e", last, mail, "", birth] + home))
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


def test_from_a_messy_file_to_merged_profiles_and_back(client, kith, domain):  # noqa: F811
    assert run_job(client, domain, FIELDS, "id", rows())["Status"] == "SUCCEEDED"
    enable(client, domain)
    job = match(client, kith, domain)
    assert (job["Status"], job["JobStats"]["NumberOfProfilesReviewed"], job["JobStats"]["NumberOfMergesDone"]) == ("COMPLETED", 220, 0)
    found = all_matches(client, domain)
    pairs = {tuple(accounts(client, domain, m["ProfileIds"])): m for m in found}
    want = {(f"a{i}", f"b{i}") for i in range(0, 200, 10)}
    assert set(pairs) == want
    assert client.get_matches(DomainName=domain)["PotentialMatches"] == len(want) == job["JobStats"]["NumberOfMatchesFound"]
    scores = [m["ConfidenceScore"] for m in found]
    assert scores == sorted(scores, reverse=True) and all(0.5 <= s <= 1 for s in scores)
    details = kith.get_identity_resolution_job_details(DomainName=domain, JobId=job["JobId"])
    assert details["ProfilesRead"] == 220 and details["StartedBy"].startswith("arn:aws:iam::")

    # By a profile, and by a match.
    a0, b0 = profile(client, domain, "a0"), profile(client, domain, "b0")
    by = client.get_similar_profiles(DomainName=domain, MatchType="ML_BASED_MATCHING", SearchKey="_profileId", SearchValue=a0)
    assert sorted(by["ProfileIds"]) == sorted([a0, b0]) and by["ConfidenceScore"] == pairs["a0", "b0"]["ConfidenceScore"] and "RuleLevel" not in by
    again = client.get_similar_profiles(DomainName=domain, MatchType="ML_BASED_MATCHING", SearchKey="matchId", SearchValue=by["MatchId"])
    assert again["ProfileIds"] == by["ProfileIds"]
    alone = profile(client, domain, "a1")
    assert client.get_similar_profiles(DomainName=domain, MatchType="ML_BASED_MATCHING", SearchKey="profileId", SearchValue=alone)["ProfileIds"] == []

    # What would be merged, and what is.
    criteria = ["LastName", "EmailAddress"]
    preview = client.get_auto_merging_preview(DomainName=domain, Consolidation={"MatchingAttributesList": [criteria]}, ConflictResolution={"ConflictResolvingModel": "RECENCY"})
    assert (preview["NumberOfMatchesInSample"], preview["NumberOfProfilesInSample"], preview["NumberOfProfilesWillBeMerged"]) == (20, 40, 40)
    kith.put_match_answer(DomainName=domain, ProfileIds=[a0, b0], Answer="NOT_SAME")
    assert kith.explain_match(DomainName=domain, ProfileIds=[a0, b0])["Pairs"][0]["Answer"] == "NOT_SAME"
    enable(client, domain, criteria, ConflictResolution={"ConflictResolvingModel": "RECENCY"})
    job = match(client, kith, domain)
    assert (job["Status"], job["JobStats"]["NumberOfMergesDone"]) == ("COMPLETED", 19)
    assert job["AutoMerging"]["Consolidation"]["MatchingAttributesList"] == [criteria]
    assert all_matches(client, domain) == [] and client.get_matches(DomainName=domain)["PotentialMatches"] == 0
    merges, more = [], {}
    while True:
        page = kith.list_identity_resolution_job_merges(DomainName=domain, JobId=job["JobId"], MaxResults=6, **more)
        merges += page["Items"]
        if "NextToken" not in page:
            break
        more = {"NextToken": page["NextToken"]}
    assert len(merges) == 19 == len({m["MergeId"] for m in merges}) and {m["Status"] for m in merges} == {"MERGED"}
    one = merges[0]
    assert history(client, domain, one["MainProfileId"], ActionType="MERGED")[0]["PerformedBy"] == "identity-resolution-job/" + job["JobId"]

    # And back: it stays apart in the next run, though everything says that it is one.
    items = kith.unmerge_match(DomainName=domain, MergeId=one["MergeId"])["Items"]
    assert [i["ProfileId"] for i in items] == one["ProfileIds"]
    assert [m["Status"] for m in kith.list_identity_resolution_job_merges(DomainName=domain, JobId=job["JobId"], MaxResults=1)["Items"]] == ["UNMERGED"]
    refused("ResourceNotFoundException", kith.unmerge_match, DomainName=domain, MergeId=one["MergeId"])
    assert match(client, kith, domain)["JobStats"]["NumberOfMergesDone"] == 0
    answers = kith.list_match_answers(DomainName=domain, MaxResults=1)
    assert len(answers["Items"]) == 1 and "NextToken" in answers
    kith.delete_match_answer(DomainName=domain, ProfileIds=[one["ProfileIds"][0], one["MainProfileId"]])
    kith.delete_match_answer(DomainName=domain, ProfileIds=[a0, b0])
    assert kith.list_match_answers(DomainName=domain)["Items"] == []
    assert match(client, kith, domain)["JobStats"]["NumberOfMergesDone"] == 2
    listed = client.list_identity_resolution_jobs(DomainName=domain)["IdentityResolutionJobsList"]
    assert [j["Status"] for j in listed] == ["PENDING"] + ["COMPLETED"] * 4


def test_why(client, kith, domain):  # noqa: F811
    assert run_job(client, domain, FIELDS, "id", rows())["Status"] == "SUCCEEDED"
    enable(client, domain)
    match(client, kith, domain)
    a0, b0, alone = (profile(client, domain, a) for a in ("a0", "b0", "a1"))
    by = client.get_similar_profiles(DomainName=domain, MatchType="ML_BASED_MATCHING", SearchKey="_profileId", SearchValue=a0)
    why = kith.explain_match(DomainName=domain, MatchId=by["MatchId"])
    (pair,) = why["Pairs"]
    assert sorted(pair["ProfileIds"]) == sorted([a0, b0]) and pair["Probability"] > 0.5 and pair["Explanation"]
    assert abs(pair["Prior"] + sum(c["Weight"] for c in pair["Comparisons"]) - pair["Sum"]) < 1e-3
    other = kith.explain_match(DomainName=domain, ProfileIds=[a0, alone])["Pairs"][0]
    assert other["Probability"] < pair["Probability"]
    refused("ResourceNotFoundException", kith.explain_match, DomainName=domain, ProfileIds=[a0, "ab" * 16])
    refused("ResourceNotFoundException", kith.explain_match, DomainName=domain, MatchId="ab" * 16)
    client.merge_profiles(DomainName=domain, MainProfileId=a0, ProfileIdsToBeMerged=[b0])
    merged = kith.explain_match(DomainName=domain, ProfileIds=[a0, b0])["Pairs"][0]
    assert merged["Comparisons"] == pair["Comparisons"], "what was merged is explained as it is by itself"


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


def test_rules_obey_answers(client, kith, domain):  # noqa: F811
    a, b = sorted(client.create_profile(DomainName=domain, LastName="Lee", FirstName=f)["ProfileId"] for f in ("Ann", "Anna"))
    turn_on(client, domain, rules("LastName"))
    settles(client, domain, (1, a, b))
    kith.put_match_answer(DomainName=domain, ProfileIds=[a, b], Answer="NOT_SAME")
    settles(client, domain)
    kith.delete_match_answer(DomainName=domain, ProfileIds=[a, b])
    settles(client, domain, (1, a, b))

    def there():
        return {p["ProfileId"] for p in client.batch_get_profile(DomainName=domain, ProfileIds=[a, b])["Profiles"]}

    turn_on(client, domain, rules("LastName", MaxAllowedRuleLevelForMerging=1, MaxAllowedRuleLevelForMatching=1))
    eventually(lambda: there() == {a})
    # Taken back by whichever operation, it is not merged again.
    kith.unmerge_profiles(DomainName=domain, ProfileIds=[b])
    assert [x["Answer"] for x in kith.list_match_answers(DomainName=domain)["Items"]] == ["NOT_SAME"]
    c = client.create_profile(DomainName=domain, LastName="Lee", FirstName="Annie")["ProfileId"]
    eventually(lambda: client.batch_get_profile(DomainName=domain, ProfileIds=[c])["Errors"])
    assert there() == {a, b}


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
