-- What deleted jobs of a linked user took of the granted credits of the joined account.
ALTER TABLE person ADD COLUMN spent INTEGER NOT NULL DEFAULT 0;
