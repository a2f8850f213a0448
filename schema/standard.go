package schema

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Standard describes a standard object that profile objects feed: what belongs to a person besides the profile itself.
type Standard struct {
	Name       string // of its type: "_asset"
	Identifier string // that marks the keys by which it is found: "ASSET"
	ID         string // the field that holds its id: "AssetId"
	IDKey      string // the key that holds its id: "_assetId"
	// Keys are the further predefined keys of it.
	Keys []string
	// Fields are the paths it has, besides Attributes.<name>; nil: any path. One that ends in [] is a list of objects, and its parts are
	// below it.
	Fields []string
}

// Standards are the standard objects but the profile, by name of their type (docs/spec/core.md 3.4).
var Standards = []*Standard{
	{Name: "_airBooking", Identifier: "AIR_BOOKING", ID: "BookingId", IDKey: "_airBookingId"},
	{Name: "_airPreference", Identifier: "AIR_PREFERENCE", ID: "PreferenceId", IDKey: "_airPreferenceId"},
	{Name: "_airSegment", Identifier: "AIR_SEGMENT", ID: "SegmentId", IDKey: "_airSegmentId"},
	{Name: "_asset", Identifier: "ASSET", ID: "AssetId", IDKey: "_assetId", Keys: []string{"_assetName", "_serialNumber"}, Fields: []string{
		"AssetName", "SerialNumber", "ModelNumber", "ModelName", "ProductSKU", "PurchaseDate", "UsageEndDate", "Status", "Price", "Quantity",
		"Description", "AdditionalInformation", "DataSource", "Location"}},
	{Name: "_case", Identifier: "CASE", ID: "CaseId", IDKey: "_caseId", Fields: []string{
		"Title", "Summary", "Status", "Reason", "CreatedBy", "CreatedDate", "UpdatedDate", "ClosedDate", "AdditionalInformation", "DataSource"}},
	{Name: "_communicationRecord", Identifier: "COMMUNICATION_RECORD", ID: "CommunicationRecordId", IDKey: "_communicationRecordId"},
	{Name: "_device", Identifier: "DEVICE", ID: "DeviceId", IDKey: "_deviceId"},
	{Name: "_hotelPreference", Identifier: "HOTEL_PREFERENCE", ID: "PreferenceId", IDKey: "_hotelPreferenceId"},
	{Name: "_hotelReservation", Identifier: "HOTEL_RESERVATION", ID: "ReservationId", IDKey: "_hotelReservationId"},
	{Name: "_hotelStayRevenue", Identifier: "HOTEL_STAY_REVENUE", ID: "StayRevenueId", IDKey: "_hotelStayRevenueId"},
	{Name: "_loyalty", Identifier: "LOYALTY", ID: "LoyaltyId", IDKey: "_loyaltyId"},
	{Name: "_loyaltyPromotion", Identifier: "LOYALTY_PROMOTION", ID: "PromotionId", IDKey: "_loyaltyPromotionId"},
	{Name: "_loyaltyTransaction", Identifier: "LOYALTY_TRANSACTION", ID: "TransactionId", IDKey: "_loyaltyTransactionId"},
	{Name: "_order", Identifier: "ORDER", ID: "OrderId", IDKey: "_orderId", Fields: append([]string{
		"CustomerEmail", "CustomerPhone", "CreatedDate", "UpdatedDate", "ProcessedDate", "ClosedDate", "CancelledDate", "CancelReason", "Name",
		"AdditionalInformation", "Gateway", "Status", "StatusCode", "StatusUrl", "CreditCardNumber", "CreditCardCompany", "FulfillmentStatus",
		"TotalPrice", "TotalTax", "TotalDiscounts", "TotalItemsPrice", "TotalShippingPrice", "TotalTipReceived", "Currency", "TotalWeight",
		"OrderItems[].Title", "OrderItems[].Price", "OrderItems[].Quantity"}, append(addressOf("BillingAddress"), addressOf("ShippingAddress")...)...)},
	{Name: "_webAnalytics", Identifier: "WEB_ANALYTICS", ID: "EventId", IDKey: "_webAnalyticsId"},
}

func addressOf(name string) []string {
	all := []string{name + ".Name"}
	for _, part := range partNames {
		all = append(all, name+"."+part)
	}
	return all
}

// standards are Standards by name and by identifier.
var standards = func() map[string]*Standard {
	all := map[string]*Standard{}
	for _, s := range Standards {
		all[s.Name], all[s.Identifier] = s, s
	}
	return all
}()

// StandardByName returns the standard object whose type has a name, such as "_asset", or nil.
func StandardByName(name string) *Standard {
	if !strings.HasPrefix(name, "_") {
		return nil
	}
	return standards[name]
}

// StandardByIdentifier returns the standard object whose keys an identifier marks, such as "ASSET", or nil.
func StandardByIdentifier(identifier string) *Standard {
	if strings.HasPrefix(identifier, "_") {
		return nil
	}
	return standards[identifier]
}

// has says whether the object has a path.
func (s *Standard) has(path string) bool {
	if name, ok := strings.CutPrefix(path, customPrefix); ok {
		return customName(name) && !strings.Contains(name, "[]")
	}
	if s.Fields == nil {
		return anyPath(path)
	}
	for _, f := range s.Fields {
		if f == path {
			return true
		}
	}
	return false
}

// customName says whether an attribute may have a name: 1 to 255 characters, and no control characters, which key names on disk use as
// separators.
func customName(name string) bool {
	n := utf8.RuneCountInString(name)
	return n >= 1 && n <= 255 && !strings.ContainsFunc(name, unicode.IsControl)
}

// anyPath says whether names between dots make a path; one of them may be a list's and end in [].
func anyPath(path string) bool {
	if !customName(path) || strings.Count(path, "[]") > 1 {
		return false
	}
	for part := range strings.SplitSeq(path, ".") {
		if name := strings.TrimSuffix(part, "[]"); name == "" || strings.ContainsAny(name, "[]") {
			return false
		}
	}
	return !strings.HasSuffix(path, "[]")
}
