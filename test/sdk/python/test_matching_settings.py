"""The blocks Matching, RuleBasedMatching and DataStore of a domain: stored, echoed, and refused where nothing could run by them."""
import copy
import uuid

import pytest

MATCHING = {
    "Enabled": True, "JobSchedule": {"DayOfTheWeek": "MONDAY", "Time": "8:00"},
    "AutoMerging": {"Enabled": True, "Consolidation": {"MatchingAttributesList": [["PhoneNumber", "Address.PostalCode"], ["Attributes.tier"]]},
                    "ConflictResolution": {"ConflictResolvingModel": "SOURCE", "SourceName": "CRM"}, "MinAllowedConfidenceScoreForMerging": 0.25},
    "ExportingConfig": {"S3Exporting": {"S3BucketName": "bucket", "S3KeyName": "prefix/"}},
}
RULES = {
    "Enabled": True, "MatchingRules": [{"Rule": ["EmailAddress", "Address.City"]}, {"Rule": ["Attributes.tier"]}],
    "MaxAllowedRuleLevelForMatching": 2, "MaxAllowedRuleLevelForMerging": 1,
    "AttributeTypesSelector": {"AttributeMatchingModel": "MANY_TO_MANY", "Address": ["Address", "MaillingAddress"],
                               "PhoneNumber": ["HomePhoneNumber"], "EmailAddress": ["EmailAddress", "BusinessEmailAddress"]},
    "ConflictResolution": {"ConflictResolvingModel": "RECENCY"},
}


def without(block, *path):
    block = copy.deepcopy(block)
    at = block
    for key in path[:-1]:
        at = at[key]
    del at[path[-1]]
    return block


def changed(block, *path, to):
    block = copy.deepcopy(block)
    at = block
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = to
    return block


def test_blocks_come_back_as_they_went_in(client):
    name = "m-" + uuid.uuid4().hex[:8]
    made = client.create_domain(DomainName=name, DefaultExpirationDays=1, Matching=MATCHING, RuleBasedMatching=RULES, DataStore={"Enabled": True})
    for got in (made, client.get_domain(DomainName=name), client.update_domain(DomainName=name, DefaultExpirationDays=2)):
        assert got["Matching"] == MATCHING
        assert got["RuleBasedMatching"].pop("Status") in ("IN_PROGRESS", "ACTIVE")
        assert got["RuleBasedMatching"] == RULES
        assert got["DataStore"] == {"Enabled": True, "Readiness": {"ProgressPercentage": 100}}
    off = client.update_domain(DomainName=name, Matching={"Enabled": False}, RuleBasedMatching={"Enabled": False})
    assert off["Matching"] == {"Enabled": False} == off["RuleBasedMatching"]
    on = client.update_domain(DomainName=name, RuleBasedMatching=RULES)
    assert on["RuleBasedMatching"]["Status"] in ("PENDING", "IN_PROGRESS", "ACTIVE") and on["Matching"] == {"Enabled": False}
    client.delete_domain(DomainName=name)


BAD = {
    "merging without criteria": dict(Matching=without(MATCHING, "AutoMerging", "Consolidation")),
    "criteria of no attribute": dict(Matching=changed(MATCHING, "AutoMerging", "Consolidation", to={"MatchingAttributesList": [["Surname"]]})),
    "a source without a name": dict(Matching=without(MATCHING, "AutoMerging", "ConflictResolution", "SourceName")),
    "a time that is none": dict(Matching=changed(MATCHING, "JobSchedule", "Time", to="24:00")),
    "rules that are missing": dict(RuleBasedMatching=without(RULES, "MatchingRules")),
    "a rule of a field": dict(RuleBasedMatching=changed(RULES, "MatchingRules", to=[{"Rule": ["HomePhoneNumber"]}])),
    "an attribute twice": dict(RuleBasedMatching=changed(RULES, "MatchingRules", 0, to={"Rule": ["LastName", "LastName"]})),
    "more levels than rules": dict(RuleBasedMatching=changed(RULES, "MaxAllowedRuleLevelForMatching", to=3)),
    "merging beyond matching": dict(RuleBasedMatching=changed(changed(RULES, "MaxAllowedRuleLevelForMatching", to=1), "MaxAllowedRuleLevelForMerging", to=2)),
    "a selector of another type": dict(RuleBasedMatching=changed(RULES, "AttributeTypesSelector", "Address", to=["PhoneNumber"])),
    "sixteen rules": dict(RuleBasedMatching=changed(RULES, "MatchingRules", to=[{"Rule": ["LastName"]}] * 16)),
}


@pytest.mark.parametrize("bad", BAD)
def test_blocks_are_refused(client, unchecked, domain, bad):
    before = client.get_domain(DomainName=domain)
    name = "m-" + uuid.uuid4().hex[:8]
    for call in (lambda: unchecked.update_domain(DomainName=domain, DefaultExpirationDays=9, **BAD[bad]),
                 lambda: unchecked.create_domain(DomainName=name, DefaultExpirationDays=9, **BAD[bad])):
        with pytest.raises(client.exceptions.BadRequestException):
            call()
    after = client.get_domain(DomainName=domain)
    assert (after["DefaultExpirationDays"], after["LastUpdatedAt"]) == (before["DefaultExpirationDays"], before["LastUpdatedAt"])
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_domain(DomainName=name)


def test_a_data_store_has_no_way_back(client, domain):
    assert "DataStore" not in client.get_domain(DomainName=domain)
    client.update_domain(DomainName=domain, DataStore={"Enabled": False})
    client.update_domain(DomainName=domain, DataStore={"Enabled": True})
    client.update_domain(DomainName=domain, DataStore={"Enabled": True})
    with pytest.raises(client.exceptions.BadRequestException) as e:
        client.update_domain(DomainName=domain, DataStore={"Enabled": False}, DefaultExpirationDays=9)
    assert "disabled" in e.value.response["Message"]
    got = client.get_domain(DomainName=domain)
    assert got["DataStore"]["Enabled"] is True and got["DefaultExpirationDays"] == 366


def put_type(client, domain, name):
    client.put_profile_object_type(
        DomainName=domain, ObjectTypeName=name, Description="d", AllowProfileCreation=True, Fields={"id": {"Source": "_source.id"}},
        Keys={"id": [{"FieldNames": ["id"], "StandardIdentifiers": ["UNIQUE", "PROFILE"]}]})


def test_a_data_store_has_a_table_for_each_type(client, domain):
    for name in ("web-visits", "Web_Visits", "orders"):
        put_type(client, domain, name)
    with pytest.raises(client.exceptions.BadRequestException) as e:
        client.update_domain(DomainName=domain, DataStore={"Enabled": True}, DefaultExpirationDays=9)
    assert "web-visits" in e.value.response["Message"] and "Web_Visits" in e.value.response["Message"]
    assert client.get_domain(DomainName=domain)["DefaultExpirationDays"] == 366
    client.delete_profile_object_type(DomainName=domain, ObjectTypeName="web-visits")
    client.update_domain(DomainName=domain, DataStore={"Enabled": True})
    for name in ("web_visits", "WEB-VISITS", "Orders", "profile-standard", "asset_standard"):
        with pytest.raises(client.exceptions.BadRequestException):
            put_type(client, domain, name)
    put_type(client, domain, "orders")
    put_type(client, domain, "other")
