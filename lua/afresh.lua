local stale = true
