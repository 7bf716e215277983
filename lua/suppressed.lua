-- FORMATS OF SUPPRESSED, see those of Absolute. It also has dcum, dbase and dstart, which are to
-- declined units what cum, base and start are to admitted ones, and the rate that was last perceived,
-- in units per second, with the time until which it is good.
local MARK, MANY, ONE = '<I6I7I7', '<I7I6I7I7I7I6I3I3I2I7I7I7I7d', '<I7I6I7I7d'
local SAME_OF_MANY, SAME_OF_ONE = MANY, ONE
local M, END, ONE_END, READ = 20, 84, 35, '-164'
local SEAL = 65278
local declined = 0
