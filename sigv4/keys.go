package sigv4

import "sync"

// maxSigningKeys bounds the table. Only who holds an access key can add to it, a scope at a time; when it is full it is dropped.
const maxSigningKeys = 4096

// signingKeys remembers derived keys, four HMACs each, of requests that were verified. An entry is used only with the secret it
// was derived from, so that nothing has to be forgotten when a key goes.
type signingKeys struct {
	mu  sync.RWMutex
	all map[keyScope]signingEntry
}

type keyScope struct {
	id string
	scope
}

type signingEntry struct {
	secret string
	key    []byte
}

// get returns the derived key, remembered or not.
func (k *signingKeys) get(id, secret string, s scope) []byte {
	k.mu.RLock()
	e, ok := k.all[keyScope{id, s}]
	k.mu.RUnlock()
	if ok && e.secret == secret {
		return e.key
	}
	return signingKey(secret, s)
}

// put remembers a derived key.
func (k *signingKeys) put(id, secret string, s scope, key []byte) {
	ks := keyScope{id, s}
	k.mu.RLock()
	e, ok := k.all[ks]
	k.mu.RUnlock()
	if ok && e.secret == secret {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.all) >= maxSigningKeys || k.all == nil {
		k.all = map[keyScope]signingEntry{}
	}
	k.all[ks] = signingEntry{secret, key}
}
