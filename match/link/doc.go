// Package link finds the profiles that seem to be of one person: probabilistic record linkage in the sense of Fellegi and Sunter, learned
// from the domain's own profiles without labels. It is pure: profiles in, groups out; it knows neither store nor service.
package link
