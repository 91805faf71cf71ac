-- Jobs whose end their person has not heard of yet: written together with the end itself, whoever writes that.
CREATE TABLE unsaid (
    job INTEGER PRIMARY KEY REFERENCES job (id)
) STRICT;

CREATE TRIGGER last_word_is_owed AFTER UPDATE OF state ON job
WHEN NEW.state IN ('failed', 'uncertain', 'cancelled') AND OLD.state <> NEW.state
    AND json_extract(NEW.reply_to, '$.platform') <> 'cli'  -- a terminal that is gone hears nothing any more
BEGIN
    INSERT OR IGNORE INTO unsaid VALUES (NEW.id);
END;
