package persistent

import "time"

// checkpointer decides when progress is written down: after so many events at
// the latest, and after some time when it is worth it.
type checkpointer struct {
	settings Settings
	written  Place     // the last checkpoint
	at       time.Time // when it was written
	progress int       // events that were processed or passed since
}

// moved tells whether there is anything to write down. Places alone don't
// count: what groups write themselves moves them too.
func (c *checkpointer) moved(processed Place) bool { return c.progress > 0 && processed > c.written }

func (c *checkpointer) due(processed Place, now time.Time) bool {
	if c.moved(processed) && c.progress >= max(c.settings.MaxCheckpoint, 1) {
		return true
	}
	due, ok := c.next(processed)
	return ok && !due.After(now)
}

// next tells when it is time, if nothing more is processed.
func (c *checkpointer) next(processed Place) (time.Time, bool) {
	if !c.moved(processed) || c.progress < c.settings.MinCheckpoint {
		return time.Time{}, false
	}
	return c.at.Add(c.settings.CheckpointAfter), true
}
