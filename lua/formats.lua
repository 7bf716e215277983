-- FORMATS of a key's value, for `struct`: one section for each strategy, of which a script has one.
--
-- Leaves: MARK, MANY, ONE       a mark; the end of a value of many buckets; the value of one bucket
--         SAME_OF_MANY, SAME_OF_ONE   the first fields of the latter two: a further unit of the
--                               newest bucket overwrites the count, and the reply needs the others
--         M, END, ONE_END       the sizes of MARK, MANY and ONE
--         READ                  where the last 4 marks and the end begin, counted from the end
--         SEAL                  see window.lua
--         declined              units that the call declines; nil where nobody counts them

-- ABSOLUTE
local MARK, MANY, ONE = '<I6I7', '<I7I6I7I7I7I6I3I3I2', '<I7I6'
local SAME_OF_MANY, SAME_OF_ONE = '<I7I6I7', ONE
local M, END, ONE_END, READ = 13, 48, 13, '-100'
local SEAL = 65278
local declined

-- SUPPRESSED
-- Has dcum, dbase and dstart besides, which are to declined units what cum, base and start are to
-- admitted ones; and the rate last perceived, in units per second, with the time until which it is
-- good.
local MARK, MANY, ONE = '<I6I7I7', '<I7I6I7I7I7I6I3I3I2I7I7I7I7d', '<I7I6I7I7d'
local SAME_OF_MANY, SAME_OF_ONE = MANY, ONE
local M, END, ONE_END, READ = 20, 84, 35, '-164'
local SEAL = 65278
local declined = 0
