-- What is not admitted is declined.
if not admitted then count, declined = 0, count end
