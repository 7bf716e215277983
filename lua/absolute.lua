-- FORMATS OF ABSOLUTE: a mark; the end of a value of many buckets; the value of one bucket; what a
-- further unit in the newest bucket overwrites of the latter two (the count, their first field).
local MARK, MANY, ONE = '<I6I7', '<I7I6I7I7I7I6I3I3I2', '<I7I6'
local SAME_OF_MANY, SAME_OF_ONE = '<I7', '<I7'
-- Sizes of MARK, MANY and ONE; where the last 4 marks and the end begin, from the end.
local M, END, ONE_END, READ = 13, 48, 13, '-100'
local SEAL = 65278
-- The declined units that a call adds: none here.
local declined
