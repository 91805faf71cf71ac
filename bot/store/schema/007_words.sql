-- The outbox of final statuses: jobs that ended and whose users have not been told. Written with the end.
CREATE TABLE unsaid (
    job INTEGER PRIMARY KEY REFERENCES job (id)
) STRICT;

CREATE TRIGGER last_word_is_owed AFTER UPDATE OF state ON job
WHEN NEW.state IN ('failed', 'uncertain', 'cancelled') AND OLD.state <> NEW.state
    AND json_extract(NEW.reply_to, '$.platform') <> 'cli'  -- a terminal that has exited needs no status
BEGIN
    INSERT OR IGNORE INTO unsaid VALUES (NEW.id);
END;
