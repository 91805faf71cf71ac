-- The code that ends a job adds it to the outbox: a trigger would run at every change of a job's state.
DROP TRIGGER last_word_is_owed;
