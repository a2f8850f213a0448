"""Matching by rules: what AWS's guide documents of it, through boto3. Rules are evaluated within a second of a write, so these tests wait for
what is to be, never for a time."""
import json
import os
import time

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest
import requests

from conftest import run_job


def rules(*rules, model="ONE_TO_ONE", **more):
    return {"Enabled": True, "MatchingRules": [{"Rule": r.split()} for r in rules],
            "AttributeTypesSelector": {"AttributeMatchingModel": model, **more.pop("selector", {})}, **more}


def eventually(what, seconds=30):
    """Returns what `what` does as soon as that is true."""
    deadline = time.time() + seconds
    while True:
        got = what()
        if got or time.time() > deadline:
            assert got, "it never became true"
            return got
        time.sleep(0.02)


def status(client, domain):
    return client.get_domain(DomainName=domain)["RuleBasedMatching"].get("Status")


def turn_on(client, domain, block):
    client.update_domain(DomainName=domain, RuleBasedMatching=block)
    eventually(lambda: status(client, domain) == "ACTIVE")


def profile(client, domain, **fields):
    return client.create_profile(DomainName=domain, **fields)["ProfileId"]


def similar(client, domain, **search):
    (key, value), = search.items()
    return client.get_similar_profiles(DomainName=domain, MatchType="RULE_BASED_MATCHING", SearchKey=key, SearchValue=value)


def groups(client, domain):
    """All matches: {frozenset of profile ids: level}."""
    found = {}
    for page in client.get_paginator("list_rule_based_matches").paginate(DomainName=domain):
        for match in page["MatchIds"]:
            try:
                got = similar(client, domain, matchId=match)
            except client.exceptions.ResourceNotFoundException:  # it has just gone
                continue
            assert got["MatchId"] == match and got["MatchType"] == "RULE_BASED_MATCHING" and "ConfidenceScore" not in got
            found[frozenset(got["ProfileIds"])] = got["RuleLevel"]
    return found


def settles(client, domain, *want):
    """Waits until the matches are these: tuples of a level and profile ids."""
    want = {frozenset(ids): level for level, *ids in want}
    try:
        eventually(lambda: groups(client, domain) == want)
    except AssertionError:
        assert groups(client, domain) == want


def gone(client, domain, *ids):
    def is_gone(i):
        return not [p for p in client.search_profiles(DomainName=domain, KeyName="_profileId", Values=[i])["Items"] if p["ProfileId"] == i]
    return all(is_gone(i) for i in ids)


def get(client, domain, profile_id):
    item, = client.search_profiles(DomainName=domain, KeyName="_profileId", Values=[profile_id])["Items"]
    return item


def addition(endpoint, domain, path, body):
    """Calls an operation that Kith adds."""
    request = botocore.awsrequest.AWSRequest(method="POST", url=f"{endpoint}/kith/domains/{domain}/{path}", data=json.dumps(body), headers={"Content-Type": "application/json"})
    credentials = botocore.credentials.Credentials(os.environ["KITH_TEST_KEY"], os.environ["KITH_TEST_SECRET"])
    botocore.auth.SigV4Auth(credentials, "profile", "us-east-1").add_auth(request)
    answer = requests.post(request.url, data=request.data, headers=dict(request.headers), timeout=60)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_one_to_one(client, domain):
    """The guide's example: an equal BusinessEmailAddress matches though EmailAddress differs; an equal value of another field does not."""
    turn_on(client, domain, rules("EmailAddress", selector={"EmailAddress": ["EmailAddress", "BusinessEmailAddress"]}))
    a = profile(client, domain, EmailAddress="a@x.com", BusinessEmailAddress="office@x.com")
    b = profile(client, domain, EmailAddress="b@x.com", BusinessEmailAddress="Office@X.com ")
    profile(client, domain, EmailAddress="office@x.com", PersonalEmailAddress="a@x.com")
    settles(client, domain, (1, a, b))


def test_many_to_many(client, domain):
    """The same profiles, any field against any: the personal address is not selected, so it counts for nothing."""
    turn_on(client, domain, rules("EmailAddress", model="MANY_TO_MANY", selector={"EmailAddress": ["EmailAddress", "BusinessEmailAddress"]}))
    a = profile(client, domain, EmailAddress="a@x.com", BusinessEmailAddress="office@x.com")
    b = profile(client, domain, EmailAddress="b@x.com", BusinessEmailAddress="Office@X.com ")
    c = profile(client, domain, EmailAddress="office@x.com", PersonalEmailAddress="d@x.com")
    profile(client, domain, EmailAddress="d@x.com")
    settles(client, domain, (1, a, b, c))


def test_an_address_is_compared_as_one(client, domain):
    turn_on(client, domain, rules("Address.City Address.PostalCode LastName", model="MANY_TO_MANY", selector={"Address": ["Address", "MaillingAddress", "BusinessAddress"]}))
    a = profile(client, domain, LastName="Lee", Address={"City": "Oslo", "PostalCode": "0150"}, MailingAddress={"City": "Rome", "PostalCode": "00100"})
    profile(client, domain, LastName="Lee", Address={"City": "Oslo", "PostalCode": "00100"})  # the city of one, the code of another
    profile(client, domain, LastName="Lee", Address={"City": "Oslo"})
    b = profile(client, domain, LastName="LEE", BillingAddress={"City": "rome", "PostalCode": "00100"})
    settles(client, domain, (1, a, b))


def test_levels(client, domain):
    """The waterfall: who matches at a level is not looked for partners at the next ones; who has no better match is in one with whom it
    matches."""
    turn_on(client, domain, rules("EmailAddress", "FirstName LastName", "BirthDate", MaxAllowedRuleLevelForMatching=2))
    a = profile(client, domain, EmailAddress="a@x.com", FirstName="Ann", LastName="Lee", BirthDate="2000-01-01")
    b = profile(client, domain, EmailAddress="a@x.com", FirstName="Bo", LastName="Day", BirthDate="2000-01-01")
    c = profile(client, domain, FirstName="Ann", LastName="Lee")
    profile(client, domain, BirthDate="2000-01-01")  # level 3 is not matched
    settles(client, domain, (1, a, b), (2, a, c))
    got = similar(client, domain, profileId=a)
    assert got["RuleLevel"] == 1 and set(got["ProfileIds"]) == {a, b}
    match = similar(client, domain, _profileId=c)
    assert match["RuleLevel"] == 2 and set(match["ProfileIds"]) == {a, c}

    d = profile(client, domain, FirstName="ann", LastName="lee")
    settles(client, domain, (1, a, b), (2, a, c, d))
    assert similar(client, domain, profileId=d)["MatchId"] == match["MatchId"]  # it lives on
    client.delete_profile(DomainName=domain, ProfileId=c)
    settles(client, domain, (1, a, b), (2, a, d))
    assert similar(client, domain, MATCHID=match["MatchId"])["ProfileIds"] == sorted([a, d])
    client.update_profile(DomainName=domain, ProfileId=d, LastName="Young")
    settles(client, domain, (1, a, b))
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        similar(client, domain, matchId=match["MatchId"])
    assert similar(client, domain, profileId=d)["ProfileIds"] == []


def test_missing_values_never_match(client, domain):
    turn_on(client, domain, rules("FirstName PhoneNumber", "Attributes.tier", "Gender"))
    for _ in range(3):
        profile(client, domain, FirstName="Ann", Attributes={"other": "x"}, PhoneNumber="n/a")
    a, b = (profile(client, domain, FirstName="Ann", PhoneNumber=p) for p in ("+1 206-555-0100", "(206) 555 0100"))
    settles(client, domain, (1, a, b))


COLUMNS = {"id": {"Source": "_source.id", "Target": "_profile.AccountNumber"}, "mail": {"Source": "_source.mail", "Target": "_profile.EmailAddress"},
           "city": {"Source": "_source.city", "Target": "_profile.Address.City"}, "first": {"Source": "_source.first", "Target": "_profile.FirstName"}}


def imported(client, domain, rows):
    data = "id,mail,city,first\n" + "".join(",".join(r) + "\n" for r in rows)
    job = run_job(client, domain, COLUMNS, "id", data.encode())
    assert job["Status"] == "SUCCEEDED", job


def test_five_hundred_are_the_most(client, domain):
    """500 profiles that share a value are a match; with the 501st the value says nothing any more, and a rule with another one still does."""
    turn_on(client, domain, rules("EmailAddress", "EmailAddress FirstName"))
    imported(client, domain, [(str(n), "shared@x.com", "Oslo", f"n{n // 2}" if n < 4 else "") for n in range(500)])
    one, = eventually(lambda: [g for g in pages(client, domain) if len(g[1]) == 500])
    assert one[0] == 1
    last = profile(client, domain, EmailAddress="Shared@x.com", FirstName="n0")
    found = eventually(lambda: sorted(map(len, groups(client, domain))) == [2, 3] and groups(client, domain))
    assert set(found.values()) == {2} and any(last in g for g in found)
    client.delete_profile(DomainName=domain, ProfileId=last)
    eventually(lambda: [len(g[1]) for g in pages(client, domain)] == [500])


def pages(client, domain):
    """Matches with all their members, page by page: (level, ids)."""
    found = []
    for match in client.list_rule_based_matches(DomainName=domain)["MatchIds"]:
        ids, level, token = [], None, None
        while True:
            try:
                got = client.get_similar_profiles(DomainName=domain, MatchType="RULE_BASED_MATCHING", SearchKey="matchId", SearchValue=match,
                                                  MaxResults=70, **({"NextToken": token} if token else {}))
            except client.exceptions.ResourceNotFoundException:
                break
            ids, level, token = ids + got["ProfileIds"], got["RuleLevel"], got.get("NextToken")
            if not token:
                found.append((level, ids))
                break
    return found


def test_merging_up_to_a_level(client, domain):
    """Level 1 merges; what that makes is matched again, and merges by level 2; level 3 matches only. The newest value of a field wins."""
    a = profile(client, domain, AccountNumber="1", FirstName="Ann", EmailAddress="a@x.com", BirthDate="2000-01-01")
    b = profile(client, domain, AccountNumber="1", FirstName="Anna", PhoneNumber="+12065550100", BirthDate="2000-01-01")
    c = profile(client, domain, PhoneNumber="12065550100", LastName="Lee", EmailAddress="c@x.com")
    d = profile(client, domain, BirthDate="2000-01-01")
    turn_on(client, domain, rules("AccountNumber", "PhoneNumber", "BirthDate", MaxAllowedRuleLevelForMerging=2))
    eventually(lambda: gone(client, domain, b, c))
    settles(client, domain, (3, a, d))
    got = get(client, domain, a)
    assert (got["FirstName"], got["LastName"], got["EmailAddress"], got["AccountNumber"]) == ("Anna", "Lee", "c@x.com", "1")
    e = profile(client, domain, AccountNumber="1", FirstName="Annette")  # by a write, too
    eventually(lambda: gone(client, domain, e))
    assert get(client, domain, a)["FirstName"] == "Annette"
    client.update_domain(DomainName=domain, RuleBasedMatching={"Enabled": False})
    assert gone(client, domain, b, c, e)  # what was merged stays


def test_turning_it_off(client, domain):
    with pytest.raises(client.exceptions.BadRequestException, match="is off"):
        client.list_rule_based_matches(DomainName=domain)
    a, b = (profile(client, domain, EmailAddress="a@x.com") for _ in range(2))
    turn_on(client, domain, rules("EmailAddress"))
    settles(client, domain, (1, a, b))
    off = client.update_domain(DomainName=domain, RuleBasedMatching={"Enabled": False})
    assert "Status" not in off["RuleBasedMatching"]
    for call in (lambda: client.list_rule_based_matches(DomainName=domain), lambda: similar(client, domain, profileId=a)):
        with pytest.raises(client.exceptions.BadRequestException, match="is off"):
            call()
    turn_on(client, domain, rules("LastName"))
    settles(client, domain)
    turn_on(client, domain, rules("LastName", "EmailAddress"))
    settles(client, domain, (2, a, b))


def test_answers_of_people_are_obeyed(client, endpoint, domain):
    """Who is said not to be the same is in no match together, and is in one again when that is taken back."""
    turn_on(client, domain, rules("EmailAddress"))
    a, b, c = sorted(profile(client, domain, EmailAddress="a@x.com") for _ in range(3))
    settles(client, domain, (1, a, b, c))
    addition(endpoint, domain, "match-answers", {"ProfileIds": [a, b], "Answer": "NOT_SAME"})
    settles(client, domain, (1, a, c))
    addition(endpoint, domain, "match-answers/delete", {"ProfileIds": [a, b]})
    settles(client, domain, (1, a, b, c))


def test_imports_match(client, domain):
    turn_on(client, domain, rules("EmailAddress", "FirstName Address.City"))
    imported(client, domain, [("1", "a@x.com", "Oslo", "Ann"), ("2", "A@x.com", "Rome", "Bo"), ("3", "c@x.com", "oslo", "ann"), ("4", "", "", "")])
    ids = {n: client.search_profiles(DomainName=domain, KeyName="_account", Values=[n])["Items"][0]["ProfileId"] for n in "123"}
    settles(client, domain, (1, ids["1"], ids["2"]), (2, ids["1"], ids["3"]))


def test_what_is_refused(client, unchecked, domain):
    turn_on(client, domain, rules("EmailAddress"))
    a = profile(client, domain, EmailAddress="a@x.com")
    assert similar(client, domain, profileId=a)["ProfileIds"] == []
    for key, value, error in (("email", "a@x.com", "BadRequestException"), ("profileId", "0" * 32, "ResourceNotFoundException"),
                              ("matchId", "0" * 32, "ResourceNotFoundException"), ("matchId", "x", "ResourceNotFoundException")):
        with pytest.raises(client.exceptions.ClientError) as e:
            similar(client, domain, **{key: value})
        assert e.value.response["Error"]["Code"] == error
    with pytest.raises(client.exceptions.BadRequestException):
        client.list_rule_based_matches(DomainName=domain, NextToken="nonsense")
    assert client.list_rule_based_matches(DomainName=domain) ["MatchIds"] == []
