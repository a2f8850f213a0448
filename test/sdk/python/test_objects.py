"""PutProfileObject, BatchPutProfileObject, ListProfileObjects, DeleteProfileObject."""
import concurrent.futures
import json
import uuid

import pytest
from botocore.exceptions import ClientError

from conftest import make_client, run_job

ORDER_FIELDS = {
    "id": {"Source": "_source.id"},
    "email": {"Source": "_source.email", "Target": "_profile.EmailAddress", "ContentType": "EMAIL_ADDRESS"},
    "first": {"Source": "_source.first", "Target": "_profile.FirstName", "ContentType": "NAME"},
    "tier": {"Source": "_source.tier", "Target": "_profile.Attributes.tier"},
}
BY_EMAIL = {
    "shopId": [{"FieldNames": ["id"], "StandardIdentifiers": ["UNIQUE"]}],
    "_email": [{"FieldNames": ["email"], "StandardIdentifiers": ["PROFILE"]}],
}


def put_type(client, domain, name="Shop", fields=ORDER_FIELDS, keys=BY_EMAIL, creates=True, **more):
    client.put_profile_object_type(
        DomainName=domain, ObjectTypeName=name, Description="x", Fields=fields, Keys=keys, AllowProfileCreation=creates, **more
    )


def put(client, domain, kind="Shop", **members):
    text = json.dumps(members)
    return client.put_profile_object(DomainName=domain, ObjectTypeName=kind, Object=text)["ProfileObjectUniqueKey"]


def search(client, domain, key, *values):
    return client.search_profiles(DomainName=domain, KeyName=key, Values=list(values))["Items"]


def one(client, domain, key, value):
    (item,) = search(client, domain, key, value)
    return item


def objects(client, domain, profile, name="Shop", **more):
    return [json.loads(i["Object"]) for i in client.list_profile_objects(DomainName=domain, ObjectTypeName=name, ProfileId=profile, **more)["Items"]]


def refused(call, code="BadRequestException", says=""):
    with pytest.raises(ClientError) as e:
        call()
    assert e.value.response["Error"]["Code"] == code, e.value
    assert says in e.value.response["Error"]["Message"], e.value


def test_put_makes_a_profile_and_is_read_at_once(client, domain):
    put_type(client, domain)
    text = ' {"id": "1", "email": "Ann@Example.com", "first": "Ann", "tier": "null", "unmapped": {"a": [1, null, "\\ud83d\\ude00"]}} '
    key = client.put_profile_object(DomainName=domain, ObjectTypeName="Shop", Object=text)["ProfileObjectUniqueKey"]
    assert len(key) == 44
    for name, value in [("_email", "ann@example.com"), ("shopId", "1")]:
        p = one(client, domain, name, value)
        assert (p["EmailAddress"], p["FirstName"], p["Attributes"]) == ("Ann@Example.com", "Ann", {"tier": "null"})
    (item,) = client.list_profile_objects(DomainName=domain, ObjectTypeName="Shop", ProfileId=p["ProfileId"])["Items"]
    assert item == {"ObjectTypeName": "Shop", "ProfileObjectUniqueKey": key, "Object": text}, "the object comes back as it was sent"


def test_repeat_replaces(client, domain):
    put_type(client, domain)
    key = put(client, domain, id="1", email="a@x.de", tier="gold")
    profile = one(client, domain, "_email", "a@x.de")["ProfileId"]
    assert put(client, domain, id="1", email="a@x.de", first="Ann") == key
    assert objects(client, domain, profile) == [{"id": "1", "email": "a@x.de", "first": "Ann"}]
    p = one(client, domain, "shopId", "1")
    assert p["Attributes"] == {"tier": "gold"}, "what a newer version lacks stays"
    assert p["FirstName"] == "Ann"


def test_object_moves_when_its_keys_say_so(client, domain):
    put_type(client, domain)
    a = client.create_profile(DomainName=domain, EmailAddress="a@x.de")["ProfileId"]
    b = client.create_profile(DomainName=domain, EmailAddress="b@x.de")["ProfileId"]
    put(client, domain, id="1", email="a@x.de", tier="gold")
    assert one(client, domain, "shopId", "1")["ProfileId"] == a
    put(client, domain, id="1", email="b@x.de", tier="iron")
    assert one(client, domain, "shopId", "1")["ProfileId"] == b
    assert objects(client, domain, a) == []
    assert [o["tier"] for o in objects(client, domain, b)] == ["iron"]
    assert "Attributes" not in one(client, domain, "_email", "a@x.de")


def put_until_through(client, *args, **members):
    """Puts an object again while others are faster, as clients do: on a busy machine many puts at once may take longer than the server is patient."""
    while True:
        try:
            return put(client, *args, **members)
        except client.exceptions.BadRequestException as e:
            if "concurrent update in-progress" not in str(e):
                raise


def test_hundred_parallel_puts_of_a_new_key_make_one_profile(client, endpoint, domain):
    put_type(client, domain)
    wide = make_client(endpoint, max_pool_connections=100)
    with concurrent.futures.ThreadPoolExecutor(100) as pool:
        list(pool.map(lambda i: put_until_through(wide, domain, id=str(i), email="new@x.de"), range(100)))
    p = one(client, domain, "_email", "new@x.de")
    stats = client.get_domain(DomainName=domain)["Stats"]
    assert (stats["ProfileCount"], stats["ObjectCount"]) == (1, 100)
    pages, token = [], {}
    while True:
        r = client.list_profile_objects(DomainName=domain, ObjectTypeName="Shop", ProfileId=p["ProfileId"], MaxResults=33, **token)
        pages.append(len(r["Items"]))
        if "NextToken" not in r:
            break
        token = {"NextToken": r["NextToken"]}
    assert pages == [33, 33, 33, 1]


def test_crosswise_keys_make_one_profile(client, endpoint, domain):
    fields = {n: {"Source": "_source." + n} for n in ["id", "a", "b", "c"]}
    keys = {"oid": [{"FieldNames": ["id"], "StandardIdentifiers": ["UNIQUE"]}]}
    keys["k"] = [{"FieldNames": [n], "StandardIdentifiers": ["PROFILE"]} for n in ["a", "b", "c"]]
    put_type(client, domain, "Cross", fields, keys)
    wide = make_client(endpoint, max_pool_connections=30)
    pairs = [("1", "2"), ("2", "3"), ("3", "1")]
    with concurrent.futures.ThreadPoolExecutor(30) as pool:
        list(pool.map(lambda i: put_until_through(wide, domain, "Cross", id=str(i), a=pairs[i % 3][0], b=pairs[i % 3][1]), range(30)))
    assert len({p["ProfileId"] for v in "123" for p in search(client, domain, "k", v)}) == 1


def test_identifiers(client, domain):
    fields = {n: {"Source": "_source." + n} for n in ["id", "ref", "second", "looked", "new"]}
    keys = {
        "oid": [{"FieldNames": ["id"], "StandardIdentifiers": ["UNIQUE"]}],
        "ref": [{"FieldNames": ["ref"], "StandardIdentifiers": ["PROFILE"]}],
        "second": [{"FieldNames": ["second"], "StandardIdentifiers": ["PROFILE", "SECONDARY"]}],
        "looked": [{"FieldNames": ["looked"], "StandardIdentifiers": ["PROFILE", "LOOKUP_ONLY"]}],
        "new": [{"FieldNames": ["new"], "StandardIdentifiers": ["PROFILE", "NEW_ONLY"]}],
    }
    put_type(client, domain, "T", fields, keys)
    put(client, domain, "T", id="1", ref="a", second="s", looked="l", new="n")
    a = one(client, domain, "ref", "a")["ProfileId"]
    assert search(client, domain, "looked", "l") == [], "LOOKUP_ONLY is never stored"
    assert one(client, domain, "new", "n")["ProfileId"] == a, "NEW_ONLY is stored by the object that makes the profile"
    put(client, domain, "T", id="2", ref="b", second="s")
    assert one(client, domain, "oid", "2")["ProfileId"] == a, "SECONDARY finds where no primary key does"
    put(client, domain, "T", id="3", ref="a", new="n2")
    assert search(client, domain, "new", "n2") == []
    client.add_profile_key(DomainName=domain, ProfileId=a, KeyName="looked", Values=["pin"])
    put(client, domain, "T", id="4", ref="c", looked="pin")
    assert one(client, domain, "oid", "4")["ProfileId"] == a, "a key added by hand finds"
    # an ambiguous key is passed over
    b = client.create_profile(DomainName=domain, FirstName="B")["ProfileId"]
    client.add_profile_key(DomainName=domain, ProfileId=b, KeyName="ref", Values=["a", "only-b"])
    put(client, domain, "T", id="5", ref="a", looked="pin")
    assert one(client, domain, "oid", "5")["ProfileId"] == a
    put(client, domain, "T", id="6", ref="a")
    assert one(client, domain, "oid", "6")["ProfileId"] not in (a, b), "no key finds exactly one: a new profile"


def test_no_profile_is_made_when_the_type_says_so(client, domain):
    put_type(client, domain, creates=False)
    assert len(put(client, domain, id="1", email="nobody@x.de")) == 44, "200, as on AWS, where matching comes later"
    assert client.get_domain(DomainName=domain)["Stats"]["ProfileCount"] == 0
    client.create_profile(DomainName=domain, EmailAddress="nobody@x.de")
    put(client, domain, id="1", email="nobody@x.de", tier="gold")
    assert one(client, domain, "shopId", "1")["Attributes"] == {"tier": "gold"}


def test_inferred_profile(client, domain):
    fields = {"id": {"Source": "_source.id"}, "mail": {"Source": "_source.mail", "ContentType": "EMAIL_ADDRESS"}, "tel": {"Source": "_source.tel", "ContentType": "PHONE_NUMBER"}}
    put_type(client, domain, "CTR2", fields, {"cid": [{"FieldNames": ["id"], "StandardIdentifiers": ["UNIQUE", "PROFILE"]}]})
    put(client, domain, "CTR2", id="1", mail="a@x.de", tel="+1 206 555 0100")
    p = one(client, domain, "cid", "1")
    assert (p["EmailAddress"], p["PhoneNumber"]) == ("a@x.de", "+1 206 555 0100")


def test_values_by_hand_stay(client, domain):
    put_type(client, domain)
    put_type(client, domain, "Strong", ORDER_FIELDS, {"strongId": BY_EMAIL["shopId"], "_email": BY_EMAIL["_email"]}, SourcePriority=1)
    client.create_profile(DomainName=domain, EmailAddress="a@x.de", FirstName="Hand")
    put(client, domain, id="1", email="a@x.de", first="Object")
    assert one(client, domain, "_email", "a@x.de")["FirstName"] == "Hand"
    put(client, domain, "Strong", id="1", email="a@x.de", first="Strong")
    assert one(client, domain, "_email", "a@x.de")["FirstName"] == "Strong"


def test_batch(client, domain):
    put_type(client, domain)
    items = [{"Id": "i%d" % i, "Object": json.dumps({"id": str(i % 8), "email": "a@x.de", "tier": str(i)})} for i in range(9)]
    items.append({"Id": "broken", "Object": "{"})
    r = client.batch_put_profile_object(DomainName=domain, ObjectTypeName="Shop", Items=items)
    assert [i["Id"] for i in r["Successful"]] == ["i%d" % i for i in range(9)]
    (failed,) = r["Failed"]
    assert (failed["Id"], failed["Code"]) == ("broken", 400) and "JSON" in failed["Message"]
    p = one(client, domain, "_email", "a@x.de")
    assert p["Attributes"]["tier"] == "8", "items are put in the order of the list"
    assert len(objects(client, domain, p["ProfileId"])) == 8
    twice = [{"Id": "a", "Object": "{}"}] * 2
    refused(lambda: client.batch_put_profile_object(DomainName=domain, ObjectTypeName="Shop", Items=twice), says='"a" twice')
    refused(lambda: client.batch_put_profile_object(DomainName=domain, ObjectTypeName="None", Items=items), "ResourceNotFoundException", "None")


def test_bad_objects(client, unchecked, domain):
    put_type(client, domain)
    raw = lambda text, name="Shop": unchecked.put_profile_object(DomainName=domain, ObjectTypeName=name, Object=text)
    for text in ["{", "[]", '"x"', "{} {}", '{"id": 1, "id": 2}', ""]:
        refused(lambda: raw(text), says="")
    refused(lambda: raw('{"a":' * 120 + "1" + "}" * 120), says="nests")
    refused(lambda: raw(json.dumps({"email": "a@x.de"})), says="shopId")
    refused(lambda: raw(json.dumps({"id": "1"})), says="_email")
    refused(lambda: raw("{}", "Unknown"), "ResourceNotFoundException", "Unknown")
    refused(lambda: raw("{}", "_asset"), says="standard object")
    refused(lambda: raw("{}", "_profile"), says="standard object")
    refused(lambda: unchecked.put_profile_object(DomainName="no-" + domain, ObjectTypeName="Shop", Object="{}"), "ResourceNotFoundException")
    base = len(json.dumps({"id": "1", "email": "a@x.de", "pad": ""}))
    put(client, domain, id="1", email="a@x.de", pad="x" * (256000 - base))
    refused(lambda: raw(json.dumps({"id": "1", "email": "a@x.de", "pad": "x" * (256001 - base)})), says="256000")
    assert client.get_domain(DomainName=domain)["Stats"]["TotalSize"] == 256000


def test_full_profile(client, domain):
    put_type(client, domain, MaxProfileObjectCount=3)
    for i in range(3):
        put(client, domain, id=str(i), email="a@x.de")
    refused(lambda: put(client, domain, id="4", email="a@x.de"), says="MaxProfileObjectCount")
    put(client, domain, id="2", email="a@x.de", tier="replaced")
    p = one(client, domain, "_email", "a@x.de")
    assert len(objects(client, domain, p["ProfileId"])) == 3 and search(client, domain, "shopId", "4") == []


def test_filter_and_delete(client, domain):
    put_type(client, domain)
    keys = [put(client, domain, id=str(i), email="a@x.de", tier=str(i)) for i in range(5)]
    p = one(client, domain, "_email", "a@x.de")["ProfileId"]
    by = lambda *values: [o["id"] for o in objects(client, domain, p, ObjectFilter={"KeyName": "shopId", "Values": list(values)})]
    assert [o["id"] for o in objects(client, domain, p)] == ["4", "3", "2", "1", "0"], "newest first"
    assert by("2", "3", "x") == ["3", "2"] and by("x") == []
    refused(lambda: objects(client, domain, p, ObjectFilter={"KeyName": "_orderId", "Values": ["1"]}), says="shopId")
    delete = lambda key, name="Shop": client.delete_profile_object(DomainName=domain, ProfileId=p, ProfileObjectUniqueKey=key, ObjectTypeName=name)
    delete(keys[4])
    assert search(client, domain, "shopId", "4") == []
    assert one(client, domain, "_email", "a@x.de")["Attributes"] == {"tier": "3"}, "what it said goes with it"
    refused(lambda: delete(keys[4]), "ResourceNotFoundException")
    refused(lambda: delete(keys[3], "Unknown"), "ResourceNotFoundException")
    refused(lambda: delete(keys[3], "_asset"), says="standard object")
    refused(lambda: client.delete_profile_object(DomainName=domain, ProfileId="ab" * 16, ProfileObjectUniqueKey=keys[3], ObjectTypeName="Shop"), "ResourceNotFoundException")
    (profile,) = objects(client, domain, p, "_profile")
    assert profile["EmailAddress"] == "a@x.de" and profile["ProfileId"] == p
    assert objects(client, domain, p, "CTR") == []
    refused(lambda: objects(client, domain, p, "Unknown"), "ResourceNotFoundException")
    refused(lambda: objects(client, domain, "ab" * 16), "ResourceNotFoundException")


ASSET_FIELDS = {
    "id": {"Source": "_source.id"},
    "email": {"Source": "_source.email", "Target": "_profile.EmailAddress", "ContentType": "EMAIL_ADDRESS"},
    "serial": {"Source": "_source.serial", "Target": "_asset.SerialNumber"},
    "name": {"Source": "_source.name", "Target": "_asset.AssetName"},
    "status": {"Source": "_source.status", "Target": "_asset.Status"},
    "color": {"Source": "_source.color", "Target": "_asset.Attributes.color.of paint"},
}


def test_assets(client, domain):
    keys = {
        "ticket": [{"FieldNames": ["id"], "StandardIdentifiers": ["UNIQUE"]}],
        "_email": [{"FieldNames": ["email"], "StandardIdentifiers": ["PROFILE"]}],
        "_serialNumber": [{"FieldNames": ["serial"], "StandardIdentifiers": ["ASSET"]}],
    }
    put_type(client, domain, "Ticket", ASSET_FIELDS, keys)
    put(client, domain, "Ticket", id="1", email="a@x.de", serial="s1", name="Car", status="new")
    put(client, domain, "Ticket", id="2", email="a@x.de", serial="s1", status="old", color="red")
    put(client, domain, "Ticket", id="3", email="a@x.de", serial="s2", name="Bike")
    p = one(client, domain, "_serialNumber", "s1")["ProfileId"]
    bike, car = objects(client, domain, p, "_asset")
    assert car == {"AssetId": car["AssetId"], "SerialNumber": "s1", "AssetName": "Car", "Status": "old", "Attributes": {"color.of paint": "red"}}
    assert bike["AssetName"] == "Bike" and bike["AssetId"] != car["AssetId"]
    assert one(client, domain, "_assetId", car["AssetId"])["ProfileId"] == p
    by = lambda key, value: [o["AssetName"] for o in objects(client, domain, p, "_asset", ObjectFilter={"KeyName": key, "Values": [value]})]
    assert by("_assetId", car["AssetId"]) == ["Car"] and by("_serialNumber", "s2") == ["Bike"] and by("_assetName", "Car") == ["Car"]
    refused(lambda: by("_orderId", "1"), says="_serialNumber")
    first = client.list_profile_objects(DomainName=domain, ObjectTypeName="_asset", ProfileId=p, MaxResults=1)
    second = client.list_profile_objects(DomainName=domain, ObjectTypeName="_asset", ProfileId=p, MaxResults=1, NextToken=first["NextToken"])
    assert [json.loads(i["Object"])["AssetName"] for r in (first, second) for i in r["Items"]] == ["Bike", "Car"]
    assert "NextToken" not in second
    put(client, domain, "Ticket", id="1", email="a@x.de", serial="s1", name="Truck")
    _, truck = sorted(objects(client, domain, p, "_asset"), key=lambda o: o["AssetName"])
    assert (truck["AssetId"], truck["AssetName"], truck["Status"]) == (car["AssetId"], "Truck", "old")
    assert objects(client, domain, p, "_order") == []


def test_order_with_items(client, domain):
    fields = {
        "id": {"Source": "_source.id", "Target": "_order.Attributes.no"},
        "email": {"Source": "_source.email", "ContentType": "EMAIL_ADDRESS"},
        "titles": {"Source": "_source.lines[].title", "Target": "_order.OrderItems[].Title"},
        "prices": {"Source": "_source.lines[].price", "Target": "_order.OrderItems[].Price"},
        "city": {"Source": "_source.city", "Target": "_order.ShippingAddress.City"},
    }
    keys = {"orderNo": [{"FieldNames": ["id"], "StandardIdentifiers": ["UNIQUE", "ORDER"]}], "_email": [{"FieldNames": ["email"], "StandardIdentifiers": ["PROFILE"]}]}
    put_type(client, domain, "Orders", fields, keys)
    put(client, domain, "Orders", id="1", email="a@x.de", city="Ulm", lines=[{"title": "a", "price": 1.50}, {"title": "b"}, {"price": 3}])
    p = one(client, domain, "orderNo", "1")["ProfileId"]
    (order,) = objects(client, domain, p, "_order")
    assert len(order.pop("OrderId")) == 32
    assert order == {
        "Attributes": {"no": "1"}, "ShippingAddress": {"City": "Ulm"},
        "OrderItems": [{"Title": "a", "Price": "1.5"}, {"Title": "b"}, {"Price": "3"}],
    }


def test_statistics(client, domain):
    put_type(client, domain)
    sizes = 0
    for i in range(101):
        text = json.dumps({"id": str(i), "email": "a@x.de"})
        sizes += len(text)
        client.put_profile_object(DomainName=domain, ObjectTypeName="Shop", Object=text)
    client.create_profile(DomainName=domain, FirstName="B")
    assert client.get_domain(DomainName=domain)["Stats"] == {"ProfileCount": 2, "MeteringProfileCount": 3, "ObjectCount": 101, "TotalSize": sizes}


def test_delete_profile_takes_its_objects(client, domain):
    put_type(client, domain)
    put(client, domain, id="1", email="a@x.de")
    p = one(client, domain, "_email", "a@x.de")["ProfileId"]
    client.delete_profile(DomainName=domain, ProfileId=p)
    assert search(client, domain, "shopId", "1") == []
    refused(lambda: objects(client, domain, p), "ResourceNotFoundException")
    assert client.get_domain(DomainName=domain)["Stats"]["ObjectCount"] == 0
    put(client, domain, id="1", email="a@x.de")
    assert one(client, domain, "shopId", "1")["ProfileId"] != p


def test_history_tells_of_objects(client, domain):
    put_type(client, domain)
    key = put(client, domain, id="1", email="a@x.de")
    p = one(client, domain, "_email", "a@x.de")["ProfileId"]
    put(client, domain, id="1", email="a@x.de", tier="x")
    client.delete_profile_object(DomainName=domain, ProfileId=p, ProfileObjectUniqueKey=key, ObjectTypeName="Shop")
    records = client.list_profile_history_records(DomainName=domain, ProfileId=p)["ProfileHistoryRecords"]
    of = [(r["ActionType"], r["ObjectTypeName"], r.get("ProfileObjectUniqueKey")) for r in records]
    assert of.count(("INGESTED", "Shop", key)) == 2, of


def test_deleted_type_takes_its_objects(client, domain):
    put_type(client, domain)
    put(client, domain, id="1", email="a@x.de", tier="gold")
    p = one(client, domain, "_email", "a@x.de")["ProfileId"]
    client.delete_profile_object_type(DomainName=domain, ObjectTypeName="Shop")
    assert search(client, domain, "shopId", "1") == [], "its keys find no longer"
    refused(lambda: objects(client, domain, p), "ResourceNotFoundException")
    refused(lambda: put(client, domain, id="2", email="a@x.de"), "ResourceNotFoundException")
    put_type(client, domain)
    assert objects(client, domain, p) == [], "objects of a type that was deleted do not come back with its name"
    put(client, domain, id="1", email="b@x.de")
    assert one(client, domain, "shopId", "1")["ProfileId"] != p
