"""Integrations as resources: sources, flows, lists, tags. None of them runs."""
import uuid

import pytest

from test_additions import kith  # noqa: F401, a fixture

ARN = "arn:aws:profile:us-east-1:000000000000:domains/"


def flow(name, **more):
    return {
        "FlowName": name, "KmsArn": "arn:aws:kms:us-east-1:000000000000:key/k", "Tasks": [],
        "SourceFlowConfig": {"ConnectorType": "S3", "SourceConnectorProperties": {"S3": {"BucketName": "bucket"}}},
        "TriggerConfig": {"TriggerType": "OnDemand"}, **more,
    }


def flow_arn(name):
    return f"arn:aws:appflow:us-east-1:000000000000:flow/{name}"


def body(answer):
    return {k: v for k, v in answer.items() if k != "ResponseMetadata"}


@pytest.fixture
def name():
    return "f-" + uuid.uuid4().hex[:12]


@pytest.fixture
def other(client):
    name = "d-" + uuid.uuid4().hex[:12]
    client.create_domain(DomainName=name, DefaultExpirationDays=366)
    yield name
    client.delete_domain(DomainName=name)


def test_life_of_an_integration(client, domain):
    uri = "arn:aws:connect:us-west-2:111122223333:instance/" + str(uuid.uuid4())
    made = client.put_integration(DomainName=domain, Uri=uri, ObjectTypeName="CTR", Tags={"a": "1"}, RoleArn="arn:aws:iam::111122223333:role/r")
    assert (made["Scope"], made["IsUnstructured"], made["Tags"]) == ("PROFILE", False, {"a": "1"})
    assert made["CreatedAt"] == made["LastUpdatedAt"]
    assert body(client.get_integration(DomainName=domain, Uri=uri)) == body(made)
    assert client.list_integrations(DomainName=domain)["Items"] == [body(made)]
    assert client.list_account_integrations(Uri=uri)["Items"] == [body(made)]

    changed = client.put_integration(DomainName=domain, Uri=uri, ObjectTypeNames={"Campaign-SMS": "Label"}, Tags={"no": "change"}, EventTriggerNames=["t"])
    assert changed["ObjectTypeNames"] == {"Campaign-SMS": "Label"} and changed["EventTriggerNames"] == ["t"]
    assert "ObjectTypeName" not in changed and "RoleArn" not in changed and changed["Tags"] == {"a": "1"}
    assert changed["LastUpdatedAt"] > changed["CreatedAt"] == made["CreatedAt"]

    assert client.delete_integration(DomainName=domain, Uri=uri)["Message"]
    for call in (client.get_integration, client.delete_integration):
        with pytest.raises(client.exceptions.ResourceNotFoundException):
            call(DomainName=domain, Uri=uri)
    assert client.list_integrations(DomainName=domain)["Items"] == [] == client.list_account_integrations(Uri=uri)["Items"]


def test_a_flow_belongs_to_one_domain(client, domain, other, name):
    made = client.put_integration(DomainName=domain, ObjectTypeName="CTR", FlowDefinition=flow(name))
    uri = flow_arn(name)
    assert made["Uri"] == uri and made["IsUnstructured"] is False
    for args in (dict(Uri=uri), dict(FlowDefinition=flow(name)), dict(Uri=uri, FlowDefinition=flow(name))):
        with pytest.raises(client.exceptions.BadRequestException) as e:
            client.put_integration(DomainName=other, ObjectTypeName="CTR", **args)
        assert "another domain" in e.value.response["Message"] and domain not in e.value.response["Message"]
        client.put_integration(DomainName=domain, ObjectTypeName="CTR", **args)
    client.delete_integration(DomainName=domain, Uri=uri)
    assert client.put_integration(DomainName=other, ObjectTypeName="CTR", Uri=uri)["IsUnstructured"] is True


def test_a_flow_is_free_when_its_domain_has_gone(client, domain, name):
    gone = "gone-" + uuid.uuid4().hex[:8]
    client.create_domain(DomainName=gone, DefaultExpirationDays=1)
    client.put_integration(DomainName=gone, ObjectTypeName="CTR", FlowDefinition=flow(name))
    client.delete_domain(DomainName=gone)
    client.put_integration(DomainName=domain, ObjectTypeName="CTR", Uri=flow_arn(name))
    assert [i["DomainName"] for i in client.list_account_integrations(Uri=flow_arn(name))["Items"]] == [domain]


@pytest.mark.parametrize("bad", [
    dict(),
    dict(Uri="s3://b"),
    dict(Uri="s3://b", ObjectTypeName="CTR", ObjectTypeNames={"e": "CTR"}),
    dict(Uri="s3://b", ObjectTypeName="CTR", FlowDefinition=flow("contacts")),
    dict(Uri="s3://b", ObjectTypeName="no-such-type", Scope="DOMAIN"),
    dict(Uri="s3://b", ObjectTypeName="no-such-type"),
    dict(Uri="s3://b", ObjectTypeName="_asset"),
    dict(Uri="s3://b", ObjectTypeNames={"SegmentIdentify": "no-such-type"}),
    dict(Uri="s3://b", ObjectTypeName="CTR", Scope="OTHER"),
    dict(Uri="s3://b", ObjectTypeName="CTR", EventTriggerNames=["a", "b"]),
    dict(Uri="s3://b", ObjectTypeName="CTR", RoleArn="role"),
    dict(Uri="", ObjectTypeName="CTR"),
    dict(Uri="x" * 256, ObjectTypeName="CTR"),
    dict(Uri="arn:aws:appflow:us-east-1:000000000000:connector/x", ObjectTypeName="CTR"),
    dict(ObjectTypeName="CTR", FlowDefinition=flow("f", TriggerConfig={"TriggerType": "Scheduled"})),
    dict(ObjectTypeName="CTR", FlowDefinition=flow("f", SourceFlowConfig={"ConnectorType": "S3", "SourceConnectorProperties": {}})),
    dict(ObjectTypeName="CTR", FlowDefinition={}),
], ids=lambda b: ",".join(b) or "nothing")
def test_integrations_are_refused(client, unchecked, domain, bad):
    with pytest.raises(client.exceptions.BadRequestException):
        unchecked.put_integration(DomainName=domain, **bad)
    assert client.list_integrations(DomainName=domain)["Items"] == []


def test_templates_become_types_by_an_integration(client, domain):
    def types():
        return [i["ObjectTypeName"] for i in client.list_profile_object_types(DomainName=domain)["Items"]]

    assert types() == []
    client.put_integration(DomainName=domain, Uri="s3://b", ObjectTypeNames={
        "SegmentIdentify": "Segment-Identify", "ShopifyCreateOrders": "Shopify-Order", "Campaign-SMS": "Label"})
    client.put_integration(DomainName=domain, ObjectTypeName="_unstructured", FlowDefinition=flow("f-" + domain))
    assert types() == ["Segment-Identify", "Shopify-Order"]
    assert client.get_profile_object_type(DomainName=domain, ObjectTypeName="Shopify-Order")["TemplateId"] == "Shopify-Order"


def test_an_integration_whose_type_is_deleted(client, kith, domain):  # noqa: F811
    client.put_profile_object_type(
        DomainName=domain, ObjectTypeName="Orders", Description="orders", AllowProfileCreation=True,
        Fields={"id": {"Source": "_source.id"}}, Keys={"id": [{"FieldNames": ["id"], "StandardIdentifiers": ["UNIQUE", "PROFILE"]}]})
    client.put_integration(DomainName=domain, Uri="s3://orders", ObjectTypeName="Orders")
    for there in (True, False):
        part = kith.get_integration_details(DomainName=domain, Uri="s3://orders")["Parts"][1]
        assert (part["Kind"], part["Name"], part["Ready"]) == ("OBJECT_TYPE", "Orders", there)
        if there:
            client.delete_profile_object_type(DomainName=domain, ObjectTypeName="Orders")
    assert client.get_integration(DomainName=domain, Uri="s3://orders")["ObjectTypeName"] == "Orders"
    with pytest.raises(client.exceptions.BadRequestException):
        client.put_integration(DomainName=domain, Uri="s3://orders", ObjectTypeName="Orders")


def test_integrations_of_no_domain(client):
    for call, args in ((client.put_integration, dict(Uri="x", ObjectTypeName="CTR")), (client.get_integration, dict(Uri="x")),
                       (client.delete_integration, dict(Uri="x")), (client.list_integrations, {})):
        with pytest.raises(client.exceptions.ResourceNotFoundException):
            call(DomainName="no-such-domain", **args)


def test_fifty_integrations_and_their_pages(client, domain):
    uris = sorted(f"s3://bucket/{i:02}/ü?&%2F" for i in range(50))
    for uri in uris:
        client.put_integration(DomainName=domain, Uri=uri, ObjectTypeName="CTR")
    with pytest.raises(client.exceptions.BadRequestException) as e:
        client.put_integration(DomainName=domain, Uri="s3://one-more", ObjectTypeName="CTR")
    assert "50" in e.value.response["Message"]
    client.put_integration(DomainName=domain, Uri=uris[0], ObjectTypeName="CTR")
    for size in (7, 49, 50, 100):
        seen, token = [], {}
        while token is not None:
            page = client.list_integrations(DomainName=domain, MaxResults=size, IncludeHidden=size == 7, **token)
            assert len(page["Items"]) <= size
            seen += [i["Uri"] for i in page["Items"]]
            token = {"NextToken": page["NextToken"]} if "NextToken" in page else None
        assert seen == uris


def test_all_integrations_of_a_source_in_pages(client, domain, other):
    uri = "arn:aws:connect:us-west-2:111122223333:instance/" + str(uuid.uuid4())
    for d in (domain, other):
        client.put_integration(DomainName=d, Uri=uri, ObjectTypeName="CTR")
    seen, token = [], {}
    while token is not None:
        page = client.list_account_integrations(Uri=uri, MaxResults=1, **token)
        seen += [i["DomainName"] for i in page["Items"]]
        token = {"NextToken": page["NextToken"]} if "NextToken" in page else None
    assert seen == sorted([domain, other])
    with pytest.raises(client.exceptions.BadRequestException):
        client.list_account_integrations(Uri=uri + "x", MaxResults=1, NextToken=client.list_account_integrations(Uri=uri, MaxResults=1)["NextToken"])


@pytest.mark.parametrize("uri", [flow_arn("tagged"), "s3://bucket/a b/ü%2F", "https://example.com/a?b=c&d#e", "arn:aws:events:us-east-1:1:event-source/aws.partner/x/y"])
def test_tags_of_integrations(client, domain, uri):
    client.put_integration(DomainName=domain, Uri=uri, ObjectTypeName="CTR")
    arn = f"{ARN}{domain}/integrations/{uri}"
    client.tag_resource(resourceArn=arn, tags={"a": "1", "b": "2"})
    client.untag_resource(resourceArn=arn, tagKeys=["a"])
    assert client.list_tags_for_resource(resourceArn=arn)["tags"] == {"b": "2"} == client.get_integration(DomainName=domain, Uri=uri)["Tags"]
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.list_tags_for_resource(resourceArn=arn + "/more")
    client.delete_integration(DomainName=domain, Uri=uri)


def test_what_of_an_integration_is_ready(client, kith, domain, name):  # noqa: F811
    client.put_integration(DomainName=domain, ObjectTypeName="CTR", FlowDefinition=flow(name), EventTriggerNames=["t"])
    got = kith.get_integration_details(DomainName=domain, Uri=flow_arn(name))
    assert got["Runs"] is False and got["Source"] == "APPFLOW_FLOW" and name in got["FlowDefinition"]
    assert [(p["Kind"], p["Ready"], "Reason" in p) for p in got["Parts"]] == [("SOURCE", False, True), ("OBJECT_TYPE", True, False), ("EVENT_TRIGGER", False, True)]
    client.update_domain(DomainName=domain, DataStore={"Enabled": True})
    client.put_domain_object_type(DomainName=domain, ObjectTypeName="items", Fields={"id": {"Source": "_source.id", "Target": "_catalogItem.Id"}})
    client.put_integration(DomainName=domain, Uri="s3://items", ObjectTypeName="items", Scope="DOMAIN")
    client.delete_domain_object_type(DomainName=domain, ObjectTypeName="items")
    parts = kith.get_integration_details(DomainName=domain, Uri="s3://items")["Parts"]
    assert parts[1]["Ready"] is False and "does not exist" in parts[1]["Reason"]
