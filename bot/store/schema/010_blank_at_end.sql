-- Unfinished jobs of users who deleted their data: the content goes once the job has ended and its user knows.
CREATE TABLE blank_at_end (
    job INTEGER PRIMARY KEY REFERENCES job (id)
) STRICT;
