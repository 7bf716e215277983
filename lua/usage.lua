-- The units that count: admitted, and declined.
return pack('<I7I7', cum - base, declined and dcum - dbase or 0)
