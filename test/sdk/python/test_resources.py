"""Plain resources of a domain: layouts and domain object types."""
import json
import uuid

import pytest

ARN = "arn:aws:profile:us-east-1:000000000000:domains/"
LAYOUT = dict(Description="What agents see", DisplayName="Main", LayoutType="PROFILE_EXPLORER", Layout='{"Type":"BoardItem"}')
FIELDS = {"id": {"Source": "_source.sku", "Target": "_catalogItem.Id", "ContentType": "STRING"},
          "name": {"Source": "_source.name", "Target": "_catalogItem.Name", "FeatureType": "TEXTUAL"}}


def layout(client, domain, name, **more):
    return client.create_domain_layout(DomainName=domain, LayoutDefinitionName=name, **{**LAYOUT, **more})


def body(answer):
    return {k: v for k, v in answer.items() if k != "ResponseMetadata"}


@pytest.fixture
def shop(client, domain):
    """A domain with a data store."""
    client.update_domain(DomainName=domain, DataStore={"Enabled": True})
    return domain


def test_life_of_a_layout(client, domain):
    name = dict(DomainName=domain, LayoutDefinitionName="main")
    made = layout(client, domain, "main", Tags={"team": "crm"})
    assert made["Version"] == "1" and made["IsDefault"] is False and made["CreatedAt"] == made["LastUpdatedAt"]
    assert body(client.get_domain_layout(**name)) == body(made)
    with pytest.raises(client.exceptions.BadRequestException) as e:
        layout(client, domain, "main")
    assert "already exists" in e.value.response["Message"]

    changed = client.update_domain_layout(**name, DisplayName="Other", Layout='[1]')
    assert (changed["Version"], changed["DisplayName"], changed["Layout"]) == ("2", "Other", "[1]")
    assert changed["Description"] == LAYOUT["Description"] and changed["Tags"] == {"team": "crm"}
    assert changed["LastUpdatedAt"] > changed["CreatedAt"] == made["CreatedAt"]
    assert body(client.get_domain_layout(**name)) == body(changed)
    [item] = client.list_domain_layouts(DomainName=domain)["Items"]
    assert item == {k: v for k, v in body(changed).items() if k not in ("Layout", "Version")}

    assert client.delete_domain_layout(**name)["Message"]
    for call in (client.get_domain_layout, client.delete_domain_layout, client.update_domain_layout):
        with pytest.raises(client.exceptions.ResourceNotFoundException):
            call(**name)
    assert layout(client, domain, "main")["Version"] == "1"


def test_layouts_are_refused(client, unchecked, domain):
    for bad in (dict(Layout="{"), dict(Layout="{} {}"), dict(DisplayName="1st"), dict(LayoutType="OTHER"), dict(Layout=""),
                dict(Description=""), dict(Description="x" * 1001), dict(Layout='"' + "x" * 1_999_999 + '"'), dict(Tags={"aws:x": "y"})):
        with pytest.raises(client.exceptions.ClientError) as e:
            unchecked.create_domain_layout(DomainName=domain, LayoutDefinitionName="bad", **{**LAYOUT, **bad})
        assert e.value.response["Error"]["Code"] == "BadRequestException", bad
        assert "x" * 300 not in e.value.response["Message"]
    layout(client, domain, "good")
    with pytest.raises(client.exceptions.BadRequestException):
        client.update_domain_layout(DomainName=domain, LayoutDefinitionName="good", Layout="{")
    for missing in (dict(DomainName="no-such-domain", LayoutDefinitionName="x"), dict(DomainName=domain, LayoutDefinitionName="x")):
        for call in (client.get_domain_layout, client.delete_domain_layout, client.update_domain_layout):
            with pytest.raises(client.exceptions.ResourceNotFoundException):
                call(**missing)
    for call in (lambda: layout(client, "no-such-domain", "x"), lambda: client.list_domain_layouts(DomainName="no-such-domain")):
        with pytest.raises(client.exceptions.ResourceNotFoundException):
            call()
    assert [i["LayoutDefinitionName"] for i in client.list_domain_layouts(DomainName=domain)["Items"]] == ["good"]


@pytest.mark.parametrize("char", ["a", "😀", '\\"'])
def test_layouts_of_two_million_characters(client, domain, char):
    """2,000,000 characters are up to 8 MB of UTF-8, and up to 24 MB as boto3 escapes them. They come back as they went in."""
    text = '"' + char * ((2_000_000 - 3) // len(char)) + '"'
    assert layout(client, domain, "large", Layout=text)["Layout"] == text
    assert client.get_domain_layout(DomainName=domain, LayoutDefinitionName="large")["Layout"] == text
    assert "Layout" not in client.list_domain_layouts(DomainName=domain)["Items"][0]
    text = "[" + text[:1] + text[1 + len(char):] + "]"
    assert client.update_domain_layout(DomainName=domain, LayoutDefinitionName="large", Layout=text)["Layout"] == text
    client.delete_domain_layout(DomainName=domain, LayoutDefinitionName="large")


def test_one_layout_is_the_default(client, domain):
    def defaults():
        return [i["LayoutDefinitionName"] for i in client.list_domain_layouts(DomainName=domain)["Items"] if i["IsDefault"]]

    layout(client, domain, "a", IsDefault=True)
    layout(client, domain, "b", IsDefault=True)
    assert defaults() == ["b"]
    before = client.get_domain_layout(DomainName=domain, LayoutDefinitionName="b")
    client.update_domain_layout(DomainName=domain, LayoutDefinitionName="a", IsDefault=True)
    after = client.get_domain_layout(DomainName=domain, LayoutDefinitionName="b")
    assert defaults() == ["a"] and after["Version"] == before["Version"] and after["LastUpdatedAt"] == before["LastUpdatedAt"]
    client.update_domain_layout(DomainName=domain, LayoutDefinitionName="a", DisplayName="still")
    assert defaults() == ["a"]
    client.delete_domain_layout(DomainName=domain, LayoutDefinitionName="a")
    assert defaults() == []
    layout(client, domain, "a")
    assert defaults() == []


def test_pages_of_layouts(client, domain):
    names = sorted(f"l-{uuid.uuid4().hex[:6]}" for _ in range(7))
    for n in names:
        layout(client, domain, n)
    for size in (1, 2, 6, 7, 8, 100):
        seen, token = [], None
        while True:
            page = client.list_domain_layouts(DomainName=domain, MaxResults=size, **({"NextToken": token} if token else {}))
            assert len(page["Items"]) <= size
            seen += [i["LayoutDefinitionName"] for i in page["Items"]]
            token = page.get("NextToken")
            if not token:
                break
        assert seen == names
    pages = client.get_paginator("list_domain_layouts").paginate(DomainName=domain, PaginationConfig={"PageSize": 3})
    assert [i["LayoutDefinitionName"] for p in pages for i in p["Items"]] == names
    token = client.list_domain_layouts(DomainName=domain, MaxResults=1)["NextToken"]
    with pytest.raises(client.exceptions.BadRequestException):
        client.list_domain_object_types(DomainName=domain, MaxResults=1, NextToken=token)


@pytest.mark.parametrize("kind", ["layouts", "domain-object-types"])
def test_tags_of_resources(client, shop, kind):
    if kind == "layouts":
        layout(client, shop, "thing", Tags={"a": "1"})
        get = lambda: client.get_domain_layout(DomainName=shop, LayoutDefinitionName="thing")
    else:
        client.put_domain_object_type(DomainName=shop, ObjectTypeName="thing", Fields=FIELDS, Tags={"a": "1"})
        get = lambda: client.get_domain_object_type(DomainName=shop, ObjectTypeName="thing")
    arn = f"{ARN}{shop}/{kind}/thing"
    before = get()
    client.tag_resource(resourceArn=arn, tags={"b": "2", "a": "0"})
    assert client.list_tags_for_resource(resourceArn=arn)["tags"] == {"a": "0", "b": "2"} == get()["Tags"]
    client.untag_resource(resourceArn=arn, tagKeys=["a", "b", "absent"])
    assert client.list_tags_for_resource(resourceArn=arn)["tags"] == {} and "Tags" not in get()
    assert {k: v for k, v in body(before).items() if k != "Tags"} == body(get())
    letters = [chr(97 + i // 26) + chr(97 + i % 26) for i in range(51)]
    client.tag_resource(resourceArn=arn, tags={k: "v" for k in letters[:50]})
    with pytest.raises(client.exceptions.BadRequestException):
        client.tag_resource(resourceArn=arn, tags={letters[50]: "v"})
    assert client.list_tags_for_resource(resourceArn=ARN + shop)["tags"] == {}
    for absent in (arn + "x", f"{ARN}{shop}/layers/thing", f"{ARN}no-such-domain/{kind}/thing"):
        for call in (lambda: client.list_tags_for_resource(resourceArn=absent),
                     lambda: client.tag_resource(resourceArn=absent, tags={"a": "1"}),
                     lambda: client.untag_resource(resourceArn=absent, tagKeys=["a"])):
            with pytest.raises(client.exceptions.ResourceNotFoundException):
                call()


def test_resources_go_with_their_domain(client):
    name = "gone-" + uuid.uuid4().hex[:8]
    for _ in range(2):
        client.create_domain(DomainName=name, DefaultExpirationDays=1, DataStore={"Enabled": True})
        assert client.list_domain_layouts(DomainName=name)["Items"] == []
        assert client.list_domain_object_types(DomainName=name)["Items"] == []
        layout(client, name, "main", Tags={"a": "1"}, Layout=json.dumps(["x" * 100] * 10_000))
        client.put_domain_object_type(DomainName=name, ObjectTypeName="items", Fields=FIELDS)
        client.delete_domain(DomainName=name)
        with pytest.raises(client.exceptions.ResourceNotFoundException):
            client.get_domain_layout(DomainName=name, LayoutDefinitionName="main")


def test_life_of_a_domain_object_type(client, domain):
    name = dict(DomainName=domain, ObjectTypeName="items")
    with pytest.raises(client.exceptions.BadRequestException) as e:
        client.put_domain_object_type(**name, Fields=FIELDS)
    assert "DataStore" in e.value.response["Message"]
    client.update_domain(DomainName=domain, DataStore={"Enabled": True})
    made = client.put_domain_object_type(**name, Fields=FIELDS, Description="What we sell", EncryptionKey="key", Tags={"a": "1"})
    assert made["Fields"] == FIELDS and made["CreatedAt"] == made["LastUpdatedAt"]
    assert body(client.get_domain_object_type(**name)) == body(made)

    fields = {"sku": {"Source": "{{_source.a}}-{{_source.b}}", "Target": "_catalogItem.Id"}}
    changed = client.put_domain_object_type(**name, Fields=fields, Tags={"no": "change"})
    assert changed["Fields"] == fields and changed["Tags"] == {"a": "1"}
    assert "Description" not in changed and "EncryptionKey" not in changed
    assert changed["LastUpdatedAt"] > changed["CreatedAt"] == made["CreatedAt"]
    [item] = client.list_domain_object_types(DomainName=domain, MaxResults=1)["Items"]
    assert item == {k: v for k, v in body(changed).items() if k != "Fields"}

    with pytest.raises(client.exceptions.BadRequestException):
        client.put_domain_object_type(DomainName=domain, ObjectTypeName="second", Fields=FIELDS)
    assert body(client.delete_domain_object_type(**name)) == {}
    for call in (client.get_domain_object_type, client.delete_domain_object_type):
        with pytest.raises(client.exceptions.ResourceNotFoundException):
            call(**name)
    client.put_domain_object_type(DomainName=domain, ObjectTypeName="second", Fields=FIELDS)


def test_domain_object_types_are_refused(client, unchecked, shop):
    ok = FIELDS["id"]
    for bad in ({"x": {**ok, "Source": "sku"}}, {"x": {**ok, "Source": "_source."}}, {"x": {**ok, "Target": "_profile.FirstName"}},
                {"x": {**ok, "Target": "_catalogItem."}}, {"x": ok, "y": ok}, {"a b": ok}, {"x": {**ok, "ContentType": "PHONE_NUMBER"}},
                {"x": {"Source": "_source.a"}}, {"x": {"Target": "_catalogItem.Id"}}, None):
        params = dict(DomainName=shop, ObjectTypeName="items", **({"Fields": bad} if bad else {}))
        with pytest.raises(client.exceptions.ClientError) as e:
            unchecked.put_domain_object_type(**params)
        assert e.value.response["Error"]["Code"] == "BadRequestException", bad
    many = {f"f{i}": {"Source": "_source." + "x" * 200, "Target": f"_catalogItem.{i}"} for i in range(6000)}
    with pytest.raises(client.exceptions.BadRequestException) as e:
        client.put_domain_object_type(DomainName=shop, ObjectTypeName="items", Fields=many)
    assert "too large" in e.value.response["Message"]
    assert client.list_domain_object_types(DomainName=shop)["Items"] == []
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.put_domain_object_type(DomainName="no-such-domain", ObjectTypeName="items", Fields=FIELDS)
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.list_domain_object_types(DomainName="no-such-domain")
