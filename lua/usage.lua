-- The units that count: admitted, and declined.
return {cum - base, declined and dcum - dbase or 0}
