package rule

import (
	"context"
	"encoding/hex"
	"fmt"

	"github.com/go-json-experiment/json"

	"kith/deadletter"
)

// letterType is the object type of dead letters of this package.
const letterType = "_ruleBasedMatching"

// letters tells of tuples that have become common: to the domain's dead-letter queue if it has one, else to the log. Neither says whose
// values they are, or which.
func (e *evaluation) letters(ctx context.Context) error {
	of := map[Level]int{}
	for _, t := range e.crowded {
		of[t.Level]++
	}
	for level := Level(1); level <= MaxLevels; level++ {
		if n := of[level]; n > 0 {
			e.Log.Warn("more profiles share the values of a matching rule than are matched; none of them is matched by these values", "domain", e.rec.Name, "level", level, "limit", e.maxHolders(), "values", n)
		}
	}
	if e.rec.DeadLetterQueueURL == "" || e.Letters == nil {
		return nil
	}
	for _, t := range e.crowded {
		object, err := json.Marshal(struct {
			RuleLevel  int
			Attributes []string
			Limit      int
		}{int(t.Level), e.rules.levels[t.Level-1].names, e.maxHolders()}, json.Deterministic(true))
		if err != nil {
			return err
		}
		err = e.Letters.Keep(ctx, e.rec, deadletter.Letter{
			ObjectType: letterType, Object: string(object), UniqueKey: hex.EncodeToString(crowdKey(t)),
			Reason: fmt.Sprintf("More than %d profiles have the same values of all attributes of the matching rule of level %d, so they are not matched by these values.", e.maxHolders(), t.Level),
		})
		if err != nil {
			return err
		}
	}
	return nil
}
