-- When an account's turn comes follows from its newest job: nothing has to be kept apart and in step with it.
ALTER TABLE account DROP COLUMN finish;
