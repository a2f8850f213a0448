"""Profile object types: their life, their rules, templates, and what is detected in objects."""
import pytest

FIELDS = {"id": {"Source": "_source.id"},
          "email": {"Source": "_source.customer.email", "Target": "_profile.EmailAddress", "ContentType": "EMAIL_ADDRESS"},
          "total": {"Source": "_source.total", "Target": "_order.TotalPrice", "ContentType": "NUMBER"}}
KEYS = {"purchaseId": [{"StandardIdentifiers": ["UNIQUE", "ORDER"], "FieldNames": ["id"]}],
        "_email": [{"StandardIdentifiers": ["PROFILE"], "FieldNames": ["email"]}]}


def put(client, domain, name="purchase", **more):
    return client.put_profile_object_type(DomainName=domain, ObjectTypeName=name, **{"Description": "A purchase", "Fields": FIELDS, "Keys": KEYS, **more})


def body(answer):
    return {k: v for k, v in answer.items() if k != "ResponseMetadata"}


def test_life_of_a_type(client, domain):
    name = dict(DomainName=domain, ObjectTypeName="purchase")
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_profile_object_type(**name)
    made = put(client, domain, AllowProfileCreation=True, ExpirationDays=30, MaxProfileObjectCount=50, SourcePriority=2,
               SourceLastUpdatedTimestampFormat="EpochMilli", EncryptionKey="key", Tags={"team": "crm"})
    assert made["Fields"] == FIELDS and made["Keys"] == KEYS and made["AllowProfileCreation"] is True
    assert (made["ExpirationDays"], made["MaxProfileObjectCount"], made["SourcePriority"]) == (30, 50, 2)
    assert made["MaxAvailableProfileObjectCount"] == 1000
    assert body(client.get_profile_object_type(**name)) == body(made)

    changed = put(client, domain, Description="Another", Tags={"other": "x"})
    assert changed["CreatedAt"] == made["CreatedAt"] < changed["LastUpdatedAt"]
    assert changed["AllowProfileCreation"] is False and changed["Tags"] == {"team": "crm"}
    assert not {"ExpirationDays", "MaxProfileObjectCount", "SourcePriority", "SourceLastUpdatedTimestampFormat", "EncryptionKey"} & set(changed)
    assert body(client.get_profile_object_type(**name)) == body(changed)

    assert client.delete_profile_object_type(**name)["Message"] == "Deleted"
    for call in (client.get_profile_object_type, client.delete_profile_object_type):
        with pytest.raises(client.exceptions.ResourceNotFoundException):
            call(**name)


def refused(client, domain, name="purchase", **more):
    with pytest.raises(client.exceptions.BadRequestException) as e:
        put(client, domain, name, **more)
    return e.value.response["Message"]


def key(*identifiers, fields=("id",)):
    return [{"StandardIdentifiers": list(identifiers), "FieldNames": list(fields)}]


@pytest.mark.parametrize("why, fields, keys", [
    ("No key is UNIQUE", {}, {"purchaseId": key("ORDER")}),
    ("are both UNIQUE", {}, {"other": key("UNIQUE", fields=["email"])}),
    ("No key is PROFILE", {}, {"_email": key(fields=["email"])}),
    ("is UNIQUE and LOOKUP_ONLY", {}, {"purchaseId": key("UNIQUE", "ORDER", "LOOKUP_ONLY")}),
    ("is SECONDARY without PROFILE", {}, {"k": key("SECONDARY")}),
    ("no key has the standard identifier ORDER", {}, {"purchaseId": key("UNIQUE")}),
    ("which Fields does not have", {}, {"k": key(fields=["nothing"])}),
    ("must begin with a letter", {}, {"_nothing": key()}),
    ("must have another name", {}, {"tags": key()}),
    ("must have another name", {"Tags": {"Source": "_source.x"}}, {}),
    ("so it must be LOOKUP_ONLY", {}, {"_profileId": key("PROFILE")}),
    ("mutually exclusive", {"a": {"Source": "_source.a", "Target": "_profile.Gender"}, "b": {"Source": "_source.b", "Target": "_profile.GenderString"}}, {}),
    ("is reserved", {"a": {"Source": "_source.a", "Target": "_profile.ProfileId"}}, {}),
    ("is reserved", {"a": {"Source": "_source.a", "Target": "_order.OrderId"}}, {}),
    ("is not a field of _order", {"a": {"Source": "_source.a", "Target": "_order.Colour"}}, {}),
    ("is not closed", {"a": {"Source": "{{#if _source.a}}x"}}, {}),
    ("SourceLastUpdatedTimestampFormat must say", {"a": {"Source": "_source.a", "Target": "_profile.SourceLastUpdatedTimestamp"}}, {}),
    ("more than 10 definitions", {}, {"k": key() * 9}),
    ("Fields has 251 fields; the limit is 250", {f"f{i}": {"Source": "_source.x"} for i in range(248)}, {}),
])
def test_types_are_refused(client, domain, why, fields, keys):
    message = refused(client, domain, Fields={**FIELDS, **fields}, Keys={**KEYS, **keys})
    assert why in message
    assert client.list_profile_object_types(DomainName=domain)["Items"] == []


def test_what_else_is_refused(client, unchecked, domain):
    assert "must have a name that does not begin with _" in refused(client, domain, "_asset")
    assert "has no year" in refused(client, domain, SourceLastUpdatedTimestampFormat="HH:mm")
    assert "every other PROFILE key" in refused(client, domain, AllowProfileCreation=True, Keys={**KEYS, "_email": key("PROFILE", "NEW_ONLY", fields=["email"])})
    for less in (dict(Fields=FIELDS), dict(Keys=KEYS), dict(), dict(Fields={}, Keys={})):
        with pytest.raises(client.exceptions.BadRequestException) as e:
            client.put_profile_object_type(DomainName=domain, ObjectTypeName="purchase", Description="d", **less)
        assert "needs Fields and Keys" in e.value.response["Message"]
    for bad in (dict(Description=""), dict(ExpirationDays=0), dict(ExpirationDays=1099), dict(SourcePriority=0), dict(MaxProfileObjectCount=0),
                dict(Fields={"bad name": {"Source": "_source.x"}}), dict(Keys={"k": [{"StandardIdentifiers": ["OTHER"], "FieldNames": ["id"]}]})):
        with pytest.raises(client.exceptions.BadRequestException):
            unchecked.put_profile_object_type(**{**dict(DomainName=domain, ObjectTypeName="purchase", Description="d", Fields=FIELDS, Keys=KEYS), **bad})
    for call in (lambda: put(client, "no-such-domain"), lambda: client.list_profile_object_types(DomainName="no-such-domain"),
                 lambda: client.get_profile_object_type(DomainName="no-such-domain", ObjectTypeName="x"),
                 lambda: client.get_profile_object_type(DomainName=domain, ObjectTypeName="CTR")):
        with pytest.raises(client.exceptions.ResourceNotFoundException):
            call()


def test_keys_of_a_name_agree_within_a_domain(client, domain):
    fields = {**FIELDS, "size": {"Source": "_source.size"}}
    put(client, domain, "one", Fields=fields, Keys={**KEYS, "size": key(fields=["size"])})
    as_number = dict(Fields={**fields, "size": {"Source": "_source.size", "ContentType": "NUMBER"}}, Keys={**KEYS, "size": key(fields=["size"])})
    assert "in object type one" in refused(client, domain, "two", **as_number)
    assert "in object type one" in refused(client, domain, "two", Fields=fields, Keys={**KEYS, "size": key(fields=["size", "id"])})
    put(client, domain, "one", **as_number)  # alone in its domain, a type may change its mind
    put(client, domain, "two", **as_number)
    client.delete_profile_object_type(DomainName=domain, ObjectTypeName="one")
    client.delete_profile_object_type(DomainName=domain, ObjectTypeName="two")
    put(client, domain, "two", Fields=fields, Keys={**KEYS, "size": key(fields=["size"])})


def test_two_puts_at_once_agree(client, domain):
    """Of two types that are put at once and disagree about a key, one is refused."""
    from concurrent.futures import ThreadPoolExecutor
    for n in range(10):
        def one(ct):
            fields = {**FIELDS, "size": {"Source": "_source.size", "ContentType": ct}}
            try:
                put(client, domain, f"type-{ct[:2]}-{n}", Fields=fields, Keys={**KEYS, f"size{n}": key(fields=["size"])})
                return 1
            except client.exceptions.BadRequestException:
                return 0
        with ThreadPoolExecutor(4) as pool:
            assert sum(pool.map(one, ("STRING", "NUMBER", "NAME", "PHONE_NUMBER"))) == 1


def test_types_are_listed(client, domain):
    for n, cap in (("b", 100), ("a", None), ("c", 950)):
        put(client, domain, n, Tags={"n": n}, **({"MaxProfileObjectCount": cap} if cap else {}))
    items = client.list_profile_object_types(DomainName=domain)["Items"]
    assert [(i["ObjectTypeName"], i.get("MaxProfileObjectCount"), i["MaxAvailableProfileObjectCount"], i["Tags"]) for i in items] == [
        ("a", None, 0, {"n": "a"}), ("b", 100, 50, {"n": "b"}), ("c", 950, 900, {"n": "c"})]
    assert not {"Fields", "Keys"} & set(items[0])
    seen, token = [], {}
    while True:
        page = client.list_profile_object_types(DomainName=domain, MaxResults=2, **token)
        seen += [i["ObjectTypeName"] for i in page["Items"]]
        if "NextToken" not in page:
            break
        token = dict(NextToken=page["NextToken"])
    assert seen == ["a", "b", "c"]


def test_tags_of_a_type(client, domain):
    put(client, domain, Tags={"a": "1"})
    arn = f"arn:aws:profile:us-east-1:000000000000:domains/{domain}/object-types/purchase"
    client.tag_resource(resourceArn=arn, tags={"b": "2"})
    client.untag_resource(resourceArn=arn, tagKeys=["a"])
    assert client.list_tags_for_resource(resourceArn=arn)["tags"] == {"b": "2"}
    assert client.get_profile_object_type(DomainName=domain, ObjectTypeName="purchase")["Tags"] == {"b": "2"}


def test_templates(client, domain):
    ids, token = [], {}
    while True:
        page = client.list_profile_object_type_templates(MaxResults=7, **token)
        ids += [i["TemplateId"] for i in page["Items"]]
        if "NextToken" not in page:
            break
        token = dict(NextToken=page["NextToken"])
    assert ids == sorted(set(ids)) == [i["TemplateId"] for i in client.list_profile_object_type_templates()["Items"]]
    assert {"CTR", "CTR-NoInferred", "CTR-AutoAssociateOnly", "Salesforce-Account", "Salesforce-Asset", "Marketo-leads", "Zendesk-tickets",
            "Servicenow-incident", "Segment-Identify", "Shopify-Order", "_asset", "_order"} <= set(ids)
    for i in ids:
        t = client.get_profile_object_type_template(TemplateId=i)
        assert t["TemplateId"] == i and t["SourceName"] and t["SourceObject"] and t["StoreOnly"] is False and t["Keys"], i
    t = client.get_profile_object_type_template(TemplateId="Shopify-Customer")
    assert t["Fields"]["default_address.zip"] == {"Source": "_source.default_address.zip", "Target": "_profile.Address.PostalCode", "ContentType": "STRING"}
    assert t["Keys"] == {"_shopifyCustomerId": key("UNIQUE", "PROFILE")}
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_profile_object_type_template(TemplateId="nothing")

    name = dict(DomainName=domain, ObjectTypeName="shop")
    made = client.put_profile_object_type(**name, Description="d", TemplateId="Shopify-Customer", ExpirationDays=3)
    assert made["Fields"] == t["Fields"] and made["Keys"] == t["Keys"] and made["TemplateId"] == "Shopify-Customer" and made["AllowProfileCreation"]
    for beside in (dict(Fields=FIELDS), dict(Keys=KEYS), dict(AllowProfileCreation=True), dict(SourceLastUpdatedTimestampFormat="EpochMilli")):
        with pytest.raises(client.exceptions.BadRequestException):
            client.put_profile_object_type(**name, Description="d", TemplateId="Shopify-Customer", **beside)
    for template in ("nothing", "_order"):
        with pytest.raises(client.exceptions.BadRequestException):
            client.put_profile_object_type(**name, Description="d", TemplateId=template)


def test_a_data_store_tells_types_apart(client, domain):
    client.update_domain(DomainName=domain, DataStore={"Enabled": True})
    put(client, domain, "my-type", EncryptionKey="one")
    assert put(client, domain, "my-type")["EncryptionKey"] == put(client, domain, "my-type", EncryptionKey="one")["EncryptionKey"] == "one"
    assert "EncryptionKey of an object type can't be changed" in refused(client, domain, "my-type", EncryptionKey="two")
    for name in ("my_type", "MY-Type"):
        assert "can't be told from my-type" in refused(client, domain, name)


def test_detection(client, unchecked, domain):
    import json
    people = [{"id": n, "first_name": "Ann", "lastName": "Lee", "email": f"ann{n}@example.org", "mobile": "+1 206 555 010" + str(n), "billing": {"city": "Rome"},
               "vip": True, "updated_at": "2024-02-29T10:11:12Z"} for n in range(5)]
    [found] = client.detect_profile_object_type(DomainName=domain, Objects=[json.dumps(p) for p in people])["DetectedProfileObjectTypes"]
    targets = {name: f.get("Target") for name, f in found["Fields"].items()}
    assert targets == {"id": "_profile.Attributes.id", "first_name": "_profile.FirstName", "lastName": "_profile.LastName", "email": "_profile.EmailAddress",
                       "mobile": "_profile.MobilePhoneNumber", "billing.city": "_profile.BillingAddress.City", "vip": "_profile.Attributes.vip",
                       "updated_at": "_profile.SourceLastUpdatedTimestamp"}
    assert found["Keys"] == {"id": key("UNIQUE"), "_email": key("PROFILE", fields=["email"]), "_phone": key("PROFILE", fields=["mobile"])}
    assert found["SourceLastUpdatedTimestampFormat"] == "yyyy-MM-dd'T'HH:mm:ss'Z'"
    client.put_profile_object_type(DomainName=domain, ObjectTypeName="people", Description="d", **found)

    assert client.detect_profile_object_type(DomainName=domain, Objects=['{"colour":"red"}'])["DetectedProfileObjectTypes"] == []
    many = json.dumps({f"a{n}": n for n in range(121)})
    for bad, why in ((["{"], "must be one JSON object"), (["[]"], "must be one JSON object"), (["{}", many], "Number 2 of Objects has more than 120"), (["{}"] * 6, "at 'objects'"), ([], "at 'objects'")):
        with pytest.raises(client.exceptions.BadRequestException) as e:
            unchecked.detect_profile_object_type(DomainName=domain, Objects=bad)
        assert why in e.value.response["Message"]
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.detect_profile_object_type(DomainName="no-such-domain", Objects=["{}"])


def test_types_of_templates_come_by_their_first_object(client, domain):
    import json

    def types():
        return [i["ObjectTypeName"] for i in client.list_profile_object_types(DomainName=domain)["Items"]]

    def send(type_name, **obj):
        return client.put_profile_object(DomainName=domain, ObjectTypeName=type_name, Object=json.dumps(obj))["ProfileObjectUniqueKey"]

    with pytest.raises(client.exceptions.BadRequestException):
        send("_order", id=1)
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        send("Nothing", id=1)
    assert types() == []
    send("Shopify-Customer", id=8, email="ann@example.org", first_name="Ann", default_address={"city": "Rome"})
    send("Shopify-Order", id=5, customer={"id": 8}, total_price="3.00", line_items=[{"title": "Cup", "price": "1.00", "quantity": 1}, {"title": "Pot", "price": 2}])
    assert types() == ["Shopify-Customer", "Shopify-Order"]
    [profile] = client.search_profiles(DomainName=domain, KeyName="_shopifyCustomerId", Values=["8"])["Items"]
    assert (profile["FirstName"], profile["EmailAddress"], profile["Address"]["City"]) == ("Ann", "ann@example.org", "Rome")
    [order] = client.list_profile_objects(DomainName=domain, ProfileId=profile["ProfileId"], ObjectTypeName="_order")["Items"]
    order = json.loads(order["Object"])
    assert order["TotalPrice"] == "3.00" and [i["Title"] for i in order["OrderItems"]] == ["Cup", "Pot"] and order["OrderItems"][1]["Price"] == "2"
    assert client.get_profile_object_type(DomainName=domain, ObjectTypeName="Shopify-Order")["TemplateId"] == "Shopify-Order"
    client.delete_profile_object_type(DomainName=domain, ObjectTypeName="Shopify-Order")
    assert types() == ["Shopify-Customer"]
    assert client.list_profile_objects(DomainName=domain, ProfileId=profile["ProfileId"], ObjectTypeName="_order")["Items"] == []
