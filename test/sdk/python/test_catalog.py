"""ListObjectTypeAttributes, ListObjectTypeAttributeValues, GetObjectTypeAttributeStatistics: what objects hold."""
import json
import math
import statistics

import pytest

FIELDS = {
    "id": {"Source": "_source.id"},
    "email": {"Source": "_source.email", "Target": "_profile.EmailAddress", "ContentType": "EMAIL_ADDRESS"},
    "serial": {"Source": "_source.serial", "Target": "_asset.SerialNumber"},
    "price": {"Source": "_source.price", "Target": "_asset.Price"},
}
KEYS = {
    "shopId": [{"FieldNames": ["id"], "StandardIdentifiers": ["UNIQUE"]}],
    "_email": [{"FieldNames": ["email"], "StandardIdentifiers": ["PROFILE"]}],
    "serial": [{"FieldNames": ["serial"], "StandardIdentifiers": ["ASSET"]}],
}


@pytest.fixture
def shop(client, domain):
    client.update_domain(DomainName=domain, DataStore={"Enabled": True})
    client.put_profile_object_type(DomainName=domain, ObjectTypeName="Shop", Description="x", Fields=FIELDS, Keys=KEYS, AllowProfileCreation=True)
    return domain


def put(client, domain, **members):
    return client.put_profile_object(DomainName=domain, ObjectTypeName="Shop", Object=json.dumps(members))["ProfileObjectUniqueKey"]


def names(client, domain, kind="Shop"):
    return [i["AttributeName"] for i in client.list_object_type_attributes(DomainName=domain, ObjectTypeName=kind)["Items"]]


def values(client, domain, name, kind="Shop", **more):
    got = client.list_object_type_attribute_values(DomainName=domain, ObjectTypeName=kind, AttributeName=name, **more)
    return [i["Value"] for i in got["Items"]]


def stats(client, domain, name, kind="Shop"):
    return client.get_object_type_attribute_statistics(DomainName=domain, ObjectTypeName=kind, AttributeName=name)


def test_attributes_and_values_are_seen_at_once(client, shop):
    assert names(client, shop) == [] == values(client, shop, "tier")
    put(client, shop, id="1", email="a@x.org", tier="gold", nested={"city": "Rome", "tags": ["a", "b"]}, empty="", nothing=None, yes=True)
    assert names(client, shop) == ["email", "id", "tier", "yes"]
    put(client, shop, id="2", email="b@x.org", tier="silver")
    put(client, shop, id="3", email="c@x.org", tier="gold")
    assert values(client, shop, "tier") == ["gold", "silver"]
    assert values(client, shop, "nested.city") == ["Rome"] and sorted(values(client, shop, "nested.tags")) == ["a", "b"]
    assert values(client, shop, "yes") == ["true"] and values(client, shop, "empty") == [] == values(client, shop, "no such")
    put(client, shop, id="2", email="b@x.org", tier="bronze")
    assert values(client, shop, "tier") == ["bronze", "gold"]
    items = client.list_object_type_attribute_values(DomainName=shop, ObjectTypeName="Shop", AttributeName="tier")["Items"]
    assert items[0]["LastUpdatedAt"] > items[1]["LastUpdatedAt"]
    attributes = client.list_object_type_attributes(DomainName=shop, ObjectTypeName="Shop")["Items"]
    assert {i["AttributeName"]: i["LastUpdatedAt"] for i in attributes}["tier"] == items[0]["LastUpdatedAt"]


def test_pages(client, shop):
    put(client, shop, id="1", email="a@x.org", **{f"n{i:02}": i for i in range(12)}, many=[f"v{i}" for i in range(25)])
    everything = names(client, shop)
    assert len(everything) == 15
    for size in (1, 4, 15, 100):
        pages = client.get_paginator("list_object_type_attributes").paginate(DomainName=shop, ObjectTypeName="Shop", PaginationConfig={"PageSize": size})
        assert [i["AttributeName"] for p in pages for i in p["Items"]] == everything
    for size in (1, 7, 25, 100):
        seen, token = [], {}
        while token is not None:
            page = client.list_object_type_attribute_values(DomainName=shop, ObjectTypeName="Shop", AttributeName="many", MaxResults=size, **token)
            seen += [i["Value"] for i in page["Items"]]
            token = {"NextToken": page["NextToken"]} if "NextToken" in page else None
        assert seen == values(client, shop, "many") and len(seen) == 25
    token = client.list_object_type_attribute_values(DomainName=shop, ObjectTypeName="Shop", AttributeName="many", MaxResults=1)["NextToken"]
    with pytest.raises(client.exceptions.BadRequestException):
        client.list_object_type_attribute_values(DomainName=shop, ObjectTypeName="Shop", AttributeName="id", MaxResults=1, NextToken=token)


def quantile(ordered, p):
    at = p / 100 * (len(ordered) - 1)
    low = math.floor(at)
    return ordered[low] + (ordered[min(low + 1, len(ordered) - 1)] - ordered[low]) * (at - low)


def test_statistics_are_exact(client, shop):
    totals = [3, 1.5, -20, 7, 7, 100, "12", "0.25"]
    for i, total in enumerate(totals):
        put(client, shop, id=str(i), email=f"{i}@x.org", total=total, mixed=total if i else "n/a", name="x")
    numbers = sorted(float(t) for t in totals)
    got = stats(client, shop, "total")
    s = got["Statistics"]
    assert (s["Minimum"], s["Maximum"]) == (-20, 100) and got["CalculatedAt"]
    assert s["Average"] == pytest.approx(statistics.fmean(numbers)) and s["StandardDeviation"] == pytest.approx(statistics.pstdev(numbers))
    assert s["Percentiles"] == {f"P{p}": pytest.approx(quantile(numbers, p)) for p in (5, 25, 50, 75, 95)}
    for name in ("mixed", "name", "no-such"):
        assert stats(client, shop, name)["Statistics"] == {}
    client.delete_profile_object_type(DomainName=shop, ObjectTypeName="Shop")
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        stats(client, shop, "total")


def test_standard_types(client, shop):
    put(client, shop, id="1", email="a@x.org", serial="s1", price="10")
    put(client, shop, id="2", email="a@x.org", serial="s1", price="30")
    put(client, shop, id="3", email="b@x.org", serial="s2", price="50")
    assert names(client, shop, "_asset") == ["Price", "SerialNumber"]
    assert values(client, shop, "SerialNumber", "_asset") == ["s2", "s1"]
    assert stats(client, shop, "Price", "_asset")["Statistics"]["Average"] == 40
    assert values(client, shop, "EmailAddress", "_profile") == ["b@x.org", "a@x.org"]
    assert "EmailAddress" in names(client, shop, "_profile")


def test_what_is_refused(client, domain):
    for call, args in ((client.list_object_type_attributes, {}), (client.list_object_type_attribute_values, dict(AttributeName="a")),
                       (client.get_object_type_attribute_statistics, dict(AttributeName="a"))):
        for where in (dict(DomainName="no-such-domain", ObjectTypeName="Shop"), dict(DomainName=domain, ObjectTypeName="no-such-type")):
            with pytest.raises(client.exceptions.ResourceNotFoundException):
                call(**where, **args)
    with pytest.raises(client.exceptions.BadRequestException) as e:
        stats(client, domain, "a", "_profile")
    assert "DataStore" in e.value.response["Message"]
    assert names(client, domain, "Salesforce-Account") == []
