import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.security.MessageDigest;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.UUID;
import software.amazon.awssdk.auth.credentials.AwsBasicCredentials;
import software.amazon.awssdk.auth.credentials.StaticCredentialsProvider;
import software.amazon.awssdk.http.urlconnection.UrlConnectionHttpClient;
import software.amazon.awssdk.regions.Region;
import software.amazon.awssdk.retries.DefaultRetryStrategy;
import software.amazon.awssdk.services.customerprofiles.CustomerProfilesClient;
import software.amazon.awssdk.services.customerprofiles.model.*;

/** The main flows through the AWS SDK for Java 2. sdk_test.go starts the servers and says where they are; each step is printed. */
public class Flows {
  static final String domain = "java-" + UUID.randomUUID().toString().substring(0, 12);
  static final CustomerProfilesClient server = client("KITH_TEST_ENDPOINT", "KITH_TEST_KEY", "KITH_TEST_SECRET");

  static CustomerProfilesClient client(String endpoint, String key, String secret) {
    return CustomerProfilesClient.builder()
        .endpointOverride(URI.create(System.getenv(endpoint))).region(Region.US_EAST_1)
        .httpClient(UrlConnectionHttpClient.create())
        .overrideConfiguration(c -> c.retryStrategy(DefaultRetryStrategy.doNotRetry()))
        .credentialsProvider(StaticCredentialsProvider.create(AwsBasicCredentials.create(System.getenv(key), System.getenv(secret))))
        .build();
  }

  interface Step { void run() throws Exception; }

  static void same(String what, Object got, Object want) {
    if (!Objects.equals(got, want)) throw new AssertionError(what + ": got " + got + ", want " + want);
  }

  /** refused fails unless a call throws a class of exception, with a message and a request id. */
  static void refused(String what, Step call, Class<? extends CustomerProfilesException> want) throws Exception {
    try {
      call.run();
    } catch (CustomerProfilesException e) {
      same(what, e.getClass(), want);
      if (e.awsErrorDetails().errorMessage() == null || e.requestId() == null) throw new AssertionError(what + ": no message or no request id");
      return;
    }
    throw new AssertionError(what + ": accepted, want " + want.getSimpleName());
  }

  static List<Profile> search(String key, String... values) {
    return server.searchProfiles(r -> r.domainName(domain).keyName(key).values(values)).items();
  }

  static void domain() {
    var made = server.createDomain(r -> r.domainName(domain).defaultExpirationDays(30).tags(Map.of("team", "a")));
    same("DefaultExpirationDays", made.defaultExpirationDays(), 30);
    server.updateDomain(r -> r.domainName(domain).defaultExpirationDays(31));
    var got = server.getDomain(r -> r.domainName(domain));
    same("DefaultExpirationDays", got.defaultExpirationDays(), 31);
    same("CreatedAt", got.createdAt(), made.createdAt());
    same("listed", server.listDomains(r -> {}).items().stream().filter(d -> d.domainName().equals(domain)).count(), 1L);
  }

  static void tags() {
    String arn = "arn:aws:profile:us-east-1:000000000000:domains/" + domain;
    server.tagResource(r -> r.resourceArn(arn).tags(Map.of("env", "test")));
    server.untagResource(r -> r.resourceArn(arn).tagKeys("team"));
    same("tags", server.listTagsForResource(r -> r.resourceArn(arn)).tags(), Map.of("env", "test"));
  }

  static void objectType() {
    server.putProfileObjectType(r -> r.domainName(domain).objectTypeName("crm").description("customers").allowProfileCreation(true)
        .fields(Map.of(
            "id", ObjectTypeField.builder().source("_source.id").build(),
            "first", ObjectTypeField.builder().source("_source.first").target("_profile.FirstName").build(),
            "email", ObjectTypeField.builder().source("_source.email").target("_profile.EmailAddress").contentType(FieldContentType.EMAIL_ADDRESS).build()))
        .keys(Map.of("crmId", List.of(ObjectTypeKey.builder().fieldNames("id").standardIdentifiers(StandardIdentifier.UNIQUE, StandardIdentifier.PROFILE).build()))));
    var got = server.getProfileObjectType(r -> r.domainName(domain).objectTypeName("crm"));
    same("ContentType", got.fields().get("email").contentType(), FieldContentType.EMAIL_ADDRESS);
    server.putIntegration(r -> r.domainName(domain).uri("arn:aws:appflow:us-east-1:000000000000:flow/java").objectTypeName("crm"));
    same("integrations", server.listIntegrations(r -> r.domainName(domain)).items().size(), 1);
  }

  static void values() {
    for (String v : List.of("null", "  x\t", "👩‍👩‍👧", "\u202bשלום\u202c", "𝄞".repeat(255))) {
      String id = server.createProfile(r -> r.domainName(domain).lastName(v).attributes(Map.of("v", v))).profileId();
      Profile got = search("_profileId", id).get(0);
      same("LastName", got.lastName(), v);
      same("attribute", got.attributes().get("v"), v);
    }
  }

  static void profiles() {
    String id = server.createProfile(r -> r.domainName(domain).firstName("Ada").emailAddress("Ada@Example.com").phoneNumber("(206)-555-0100")
        .address(a -> a.city("London"))).profileId();
    same("by e-mail", search("_email", "ada@example.com").get(0).profileId(), id);
    same("by phone", search("_phone", "+12065550100").get(0).profileId(), id);
    server.updateProfile(r -> r.domainName(domain).profileId(id).firstName("").lastName("King").address(a -> a.postalCode("W1")));
    var batch = server.batchGetProfile(r -> r.domainName(domain).profileIds(id, "ab".repeat(16)));
    Profile got = batch.profiles().get(0);
    same("names", got.firstName() + " " + got.lastName(), "null King");
    same("address", got.address(), Address.builder().city("London").postalCode("W1").build());
    same("error", batch.errors().get(0).profileId(), "ab".repeat(16));
    server.addProfileKey(r -> r.domainName(domain).profileId(id).keyName("_ctrContactId").values("c-1"));
    same("by an added key", search("_ctrContactId", "c-1").size(), 1);
  }

  static void objects() {
    String object = "{\"id\": \"1\", \"first\": \"Grace\", \"email\": \"grace@example.com\", \"note\": \"ünïcode\"}";
    String key = server.putProfileObject(r -> r.domainName(domain).objectTypeName("crm").object(object)).profileObjectUniqueKey();
    Profile person = search("crmId", "1").get(0);
    same("FirstName", person.firstName(), "Grace");
    var items = server.listProfileObjects(r -> r.domainName(domain).objectTypeName("crm").profileId(person.profileId())).items();
    same("objects", items, List.of(ListProfileObjectsItem.builder().objectTypeName("crm").profileObjectUniqueKey(key).object(object).build()));
    server.deleteProfileObject(r -> r.domainName(domain).objectTypeName("crm").profileId(person.profileId()).profileObjectUniqueKey(key));
    same("objects left", server.listProfileObjects(r -> r.domainName(domain).objectTypeName("crm").profileId(person.profileId())).items(), List.of());
  }

  static void merge() {
    String main = server.createProfile(r -> r.domainName(domain).firstName("Ann")).profileId();
    String other = server.createProfile(r -> r.domainName(domain).lastName("Lee").accountNumber("java-7")).profileId();
    server.mergeProfiles(r -> r.domainName(domain).mainProfileId(main).profileIdsToBeMerged(other));
    Profile got = search("_account", "java-7").get(0);
    same("main", got.profileId() + got.firstName() + got.lastName(), main + "AnnLee");
    var history = server.listProfileHistoryRecords(r -> r.domainName(domain).profileId(main).actionType(ActionType.MERGED)).profileHistoryRecords();
    same("history", history.size(), 1);
    server.deleteProfile(r -> r.domainName(domain).profileId(main));
    same("after deletion", search("_account", "java-7"), List.of());
  }

  static void upload() throws Exception {
    String job = server.createUploadJob(r -> r.domainName(domain).displayName("people.csv").uniqueKey("id").fields(Map.of(
        "id", ObjectTypeField.builder().source("_source.id").target("_profile.AccountNumber").build()))).jobId();
    var path = server.getUploadJobPath(r -> r.domainName(domain).jobId(job));
    byte[] md5 = MessageDigest.getInstance("MD5").digest(Base64.getDecoder().decode(path.clientToken()));
    var put = HttpRequest.newBuilder(URI.create(path.url())).PUT(HttpRequest.BodyPublishers.ofString("id\n1\n2\n"))
        .header("x-amz-server-side-encryption-customer-algorithm", "AES256")
        .header("x-amz-server-side-encryption-customer-key", path.clientToken())
        .header("x-amz-server-side-encryption-customer-key-MD5", Base64.getEncoder().encodeToString(md5)).build();
    same("upload", HttpClient.newHttpClient().send(put, HttpResponse.BodyHandlers.discarding()).statusCode(), 200);
    server.startUploadJob(r -> r.domainName(domain).jobId(job));
    GetUploadJobResponse got;
    do {
      got = server.getUploadJob(r -> r.domainName(domain).jobId(job));
    } while (got.status() == UploadJobStatus.IN_PROGRESS);
    same("Status", got.status(), UploadJobStatus.SUCCEEDED);
    same("CreatedRecords", got.resultsSummary().createdRecords(), 2L);
    same("jobs", server.listUploadJobsPaginator(r -> r.domainName(domain).maxResults(1)).items().stream().count(), 1L);
  }

  static void exceptions() throws Exception {
    refused("a domain that exists", () -> server.createDomain(r -> r.domainName(domain).defaultExpirationDays(30)), BadRequestException.class);
    refused("an unknown domain", () -> server.getDomain(r -> r.domainName("unknown")), ResourceNotFoundException.class);
    String job = server.createUploadJob(r -> r.domainName(domain).displayName("x").uniqueKey("id")
        .fields(Map.of("id", ObjectTypeField.builder().source("_source.id").build()))).jobId();
    try (var limited = client("KITH_TEST_ENDPOINT", "KITH_TEST_LIMITED_KEY", "KITH_TEST_LIMITED_SECRET")) {
      refused("a denied call", () -> limited.getUploadJobPath(r -> r.domainName(domain).jobId(job)), AccessDeniedException.class);
    }
    try (var throttled = client("KITH_TEST_THROTTLED_ENDPOINT", "KITH_TEST_KEY", "KITH_TEST_SECRET")) {
      refused("one call too many", () -> {
        for (int i = 0; i < 20; i++) {
          try {
            throttled.getUploadJobPath(r -> r.domainName(domain).jobId(job));
          } catch (ResourceNotFoundException e) { // it counts
          }
        }
      }, ThrottlingException.class);
    }
    try (var broken = client("KITH_TEST_FAULTY_ENDPOINT", "KITH_TEST_KEY", "KITH_TEST_SECRET")) {
      refused("a broken store", () -> broken.getDomain(r -> r.domainName(domain)), InternalServerException.class);
    }
  }

  static void removal() throws Exception {
    server.deleteDomain(r -> r.domainName(domain));
    refused("the domain that was", () -> server.getDomain(r -> r.domainName(domain)), ResourceNotFoundException.class);
  }

  static void step(String name, Step step) throws Exception {
    step.run();
    System.out.println("ok " + name);
  }

  public static void main(String[] args) throws Exception {
    step("domain", Flows::domain);
    step("tags", Flows::tags);
    step("objectType", Flows::objectType);
    step("values", Flows::values);
    step("profiles", Flows::profiles);
    step("objects", Flows::objects);
    step("merge", Flows::merge);
    step("upload", Flows::upload);
    step("exceptions", Flows::exceptions);
    step("removal", Flows::removal);
  }
}
