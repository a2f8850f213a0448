package objecttype

// The templates as the documents tell them (docs/spec/core.md 3.3): a source's path, and where it goes below the template's standard object.
//
// A line of fields is "path" or "path > target", or "name = template > target". Content types follow from the target: of a phone
// number, an e-mail address or a name. "path : TYPE" gives one to a field without a target.
//
// A line of keys is "name: field [IDENTIFIER …]".

// recipe is a template as it is written here.
type recipe struct {
	id, source, object string
	feeds              string // "_profile." or that of another standard object
	creates            bool
	fields, keys       string
}

const contactRecord = `
	ContactId > Attributes.ctrContactId
	CustomerEndpoint.Address : PHONE_NUMBER`

const salesforceContact = `
	Id > Attributes.sfdcContactId
	AccountId > Attributes.sfdcAccountId
	FirstName > FirstName
	MiddleName > MiddleName
	LastName > LastName
	OtherStreet > Address.Address1
	OtherCity > Address.City
	OtherState > Address.State
	OtherCountry > Address.Country
	OtherPostalCode > Address.PostalCode
	MailingStreet > MailingAddress.Address1
	MailingCity > MailingAddress.City
	MailingState > MailingAddress.State
	MailingCountry > MailingAddress.Country
	MailingPostalCode > MailingAddress.PostalCode
	Phone > PhoneNumber
	HomePhone > HomePhoneNumber
	MobilePhone > MobilePhoneNumber
	Email > EmailAddress
	Birthdate > BirthDate`

const salesforceAsset = `
	Id > Attributes.sfdcAssetId
	ContactId > Attributes.sfdcContactId
	AccountId > Attributes.sfdcAccountId
	Name > AssetName
	SerialNumber > SerialNumber
	ProductCode > ProductSKU
	PurchaseDate > PurchaseDate
	UsageEndDate > UsageEndDate
	Status > Status
	Price > Price
	Quantity > Quantity
	Description > Description`

const marketoLeads = `
	id > Attributes.MarketoLeadId
	sfdcAccountId > Attributes.sfdcAccountId
	sfdcContactId > Attributes.sfdcContactId
	firstName > FirstName
	middleName > MiddleName
	lastName > LastName
	email > EmailAddress
	phone > PhoneNumber
	mobilePhone > MobilePhoneNumber
	billingStreet > BillingAddress.Address1
	billingCity > BillingAddress.City
	billingState > BillingAddress.State
	billingCountry > BillingAddress.Country
	billingPostalCode > BillingAddress.PostalCode
	address > Address.Address1
	city > Address.City
	state > Address.State
	country > Address.Country
	postalCode > Address.PostalCode
	gender > Gender
	dateOfBirth > BirthDate`

const shopifyOrder = `
	id > Attributes.ShopifyOrderId
	customer.id > Attributes.ShopifyCustomerId
	email > CustomerEmail
	phone > CustomerPhone
	name > Name
	note > AdditionalInformation
	gateway > Gateway
	currency > Currency
	created_at > CreatedDate
	updated_at > UpdatedDate
	processed_at > ProcessedDate
	closed_at > ClosedDate
	cancelled_at > CancelledDate
	cancel_reason > CancelReason
	financial_status > Status
	fulfillment_status > FulfillmentStatus
	order_status_url > StatusUrl
	total_price > TotalPrice
	total_tax > TotalTax
	total_discounts > TotalDiscounts
	total_line_items_price > TotalItemsPrice
	total_tip_received > TotalTipReceived
	total_weight > TotalWeight
	total_shipping_price_set.shop_money.amount > TotalShippingPrice
	payment_details.credit_card_number > CreditCardNumber
	payment_details.credit_card_company > CreditCardCompany
	billing_address.name > BillingAddress.Name
	billing_address.address1 > BillingAddress.Address1
	billing_address.address2 > BillingAddress.Address2
	billing_address.city > BillingAddress.City
	billing_address.province > BillingAddress.Province
	billing_address.country > BillingAddress.Country
	billing_address.zip > BillingAddress.PostalCode
	shipping_address.name > ShippingAddress.Name
	shipping_address.address1 > ShippingAddress.Address1
	shipping_address.address2 > ShippingAddress.Address2
	shipping_address.city > ShippingAddress.City
	shipping_address.province > ShippingAddress.Province
	shipping_address.country > ShippingAddress.Country
	shipping_address.zip > ShippingAddress.PostalCode
	line_items[].title > OrderItems[].Title
	line_items[].price > OrderItems[].Price
	line_items[].quantity > OrderItems[].Quantity`

const shopifyKeys = `
	_shopifyOrderId: id UNIQUE ORDER
	_shopifyCustomerId: customer.id PROFILE`

var recipes = []recipe{
	{"CTR", "CTR", "CTR", "_profile.", true, contactRecord, `
		_ctrContactId: ContactId UNIQUE PROFILE`},
	{"CTR-NoInferred", "CTR", "NoInferred", "_profile.", true, contactRecord, `
		_ctrContactId: ContactId UNIQUE PROFILE
		_phone: CustomerEndpoint.Address PROFILE SECONDARY`},
	{"CTR-AutoAssociateOnly", "CTR", "AutoAssociateOnly", "_profile.", false, contactRecord, `
		_ctrContactId: ContactId UNIQUE PROFILE
		_phone: CustomerEndpoint.Address PROFILE SECONDARY`},
	{"Salesforce-Account", "Salesforce", "Account", "_profile.", true, `
		Id > Attributes.sfdcAccountId
		Name > BusinessName
		AccountNumber > AccountNumber
		FirstName > FirstName
		MiddleName > MiddleName
		LastName > LastName
		Phone > PhoneNumber
		BillingStreet > BillingAddress.Address1
		BillingCity > BillingAddress.City
		BillingState > BillingAddress.State
		BillingCountry > BillingAddress.Country
		BillingPostalCode > BillingAddress.PostalCode
		ShippingStreet > ShippingAddress.Address1
		ShippingCity > ShippingAddress.City
		ShippingState > ShippingAddress.State
		ShippingCountry > ShippingAddress.Country
		ShippingPostalCode > ShippingAddress.PostalCode
		IsPersonAccount = {{#if _source.IsPersonAccount}}INDIVIDUAL{{else}}BUSINESS{{/if}} > PartyType
		PersonMobilePhone > MobilePhoneNumber
		PersonHomePhone > HomePhoneNumber
		PersonEmail > PersonalEmailAddress
		PersonMailingAddress.street > MailingAddress.Address1
		PersonMailingAddress.city > MailingAddress.City
		PersonMailingAddress.state > MailingAddress.State
		PersonMailingAddress.country > MailingAddress.Country
		PersonMailingAddress.postalCode > MailingAddress.PostalCode
		PersonBirthDate > BirthDate
		PersonOtherStreet > Address.Address1
		PersonOtherCity > Address.City
		PersonOtherState > Address.State
		PersonOtherCountry > Address.Country
		PersonOtherPostalCode > Address.PostalCode`, `
		_salesforceAccountId: Id UNIQUE PROFILE`},
	{"Salesforce-Contact", "Salesforce", "Contact", "_profile.", true, salesforceContact, `
		_salesforceContactId: Id UNIQUE PROFILE
		_salesforceAccountId: AccountId PROFILE`},
	{"Salesforce-Multi-Contact-Account-Link", "Salesforce", "Multi-Contact-Account-Link", "_profile.", true, salesforceContact, `
		_salesforceContactId: Id UNIQUE PROFILE
		_salesforceAccountId: AccountId`},
	{"Salesforce-Asset", "Salesforce", "Asset", "_asset.", false, salesforceAsset, `
		_salesforceAssetId: Id UNIQUE ASSET
		_salesforceContactId: ContactId PROFILE
		_salesforceAccountId: AccountId PROFILE
		_assetName: Name
		_serialNumber: SerialNumber`},
	{"Salesforce-Multi-Asset-Account-Link", "Salesforce", "Multi-Asset-Account-Link", "_asset.", false, salesforceAsset, `
		_salesforceAssetId: Id UNIQUE ASSET
		_salesforceContactId: ContactId PROFILE
		_salesforceAccountId: AccountId
		_assetName: Name
		_serialNumber: SerialNumber`},
	{"Marketo-leads", "Marketo", "leads", "_profile.", true, marketoLeads, `
		_marketoLeadId: id UNIQUE PROFILE
		_salesforceAccountId: sfdcAccountId PROFILE
		_salesforceContactId: sfdcContactId PROFILE`},
	{"Marketo-Multi-Lead-Account-Link", "Marketo", "Multi-Lead-Account-Link", "_profile.", true, marketoLeads, `
		_marketoLeadId: id UNIQUE PROFILE
		_salesforceAccountId: sfdcAccountId
		_salesforceContactId: sfdcContactId PROFILE`},
	{"Zendesk-users", "Zendesk", "users", "_profile.", true, `
		id > Attributes.ZendeskUserId
		external_id > Attributes.ZendeskExternalId
		email > EmailAddress
		phone > PhoneNumber`, `
		_zendeskUserId: id UNIQUE PROFILE
		_zendeskExternalId: external_id PROFILE`},
	{"Zendesk-tickets", "Zendesk", "tickets", "_case.", false, `
		id > Attributes.ZendeskTicketId
		requester_id > Attributes.ZendeskUserId
		created_by = {{_source.requester_id}} > CreatedBy
		subject > Title
		description > Summary
		status > Status
		created_at > CreatedDate
		updated_at > UpdatedDate`, `
		_zendeskTicketId: id UNIQUE CASE
		_zendeskUserId: requester_id PROFILE`},
	{"Servicenow-sys_user", "Servicenow", "sys_user", "_profile.", true, `
		sys_id > Attributes.ServiceNowSystemId
		first_name > FirstName
		middle_name > MiddleName
		last_name > LastName
		gender > Gender
		email > EmailAddress
		phone > PhoneNumber
		home_phone > HomePhoneNumber
		mobile_phone > MobilePhoneNumber
		street > Address.Address1
		city > Address.City
		state > Address.State
		country > Address.Country
		zip > Address.PostalCode`, `
		_serviceNowSystemId: sys_id UNIQUE PROFILE`},
	{"Servicenow-task", "Servicenow", "task", "_case.", false, `
		sys_id > Attributes.ServiceNowTaskId
		opened_by.link > Attributes.ServiceNowSystemId
		short_description > Title
		description > Summary
		status > Status
		sys_created_by > CreatedBy
		sys_created_on > CreatedDate
		sys_updated_on > UpdatedDate`, `
		_serviceNowTaskId: sys_id UNIQUE CASE
		_serviceNowSystemId: opened_by.link PROFILE`},
	{"Servicenow-incident", "Servicenow", "incident", "_case.", false, `
		sys_id > Attributes.ServiceNowIncidentId
		caller_id.link > Attributes.ServiceNowSystemId
		short_description > Title
		description > Summary
		status > Status
		sys_created_by > CreatedBy
		sys_created_on > CreatedDate
		sys_updated_on > UpdatedDate`, `
		_serviceNowIncidentId: sys_id UNIQUE CASE
		_serviceNowSystemId: caller_id.link PROFILE`},
	{"Segment-Identify", "Segment", "Identify", "_profile.", true, segmentIdentify, `
		_segmentUserId: userId UNIQUE PROFILE`},
	{"Segment-Customer", "Segment", "Customer", "_profile.", true, segmentIdentify, `
		_segmentUserId: userId UNIQUE PROFILE`},
	{"Shopify-Customer", "Shopify", "Customer", "_profile.", true, `
		id > Attributes.ShopifyCustomerId
		email > EmailAddress
		first_name > FirstName
		last_name > LastName
		note > AdditionalInformation
		phone > PhoneNumber
		default_address.address1 > Address.Address1
		default_address.address2 > Address.Address2
		default_address.city > Address.City
		default_address.province > Address.Province
		default_address.country > Address.Country
		default_address.zip > Address.PostalCode`, `
		_shopifyCustomerId: id UNIQUE PROFILE`},
	{"Shopify-Order", "Shopify", "Order", "_order.", false, shopifyOrder, shopifyKeys},
	{"Shopify-DraftOrder", "Shopify", "DraftOrder", "_order.", false, shopifyOrder, shopifyKeys},
}

const segmentIdentify = `
	userId > Attributes.SegmentUserId
	traits.company.name > BusinessName
	traits.firstName > FirstName
	traits.lastName > LastName
	traits.birthday > BirthDate
	traits.gender > Gender
	traits.phone > PhoneNumber
	traits.email > EmailAddress
	traits.address.street > Address.Address1
	traits.address.city > Address.City
	traits.address.state > Address.State
	traits.address.country > Address.Country
	traits.address.postalCode > Address.PostalCode`
