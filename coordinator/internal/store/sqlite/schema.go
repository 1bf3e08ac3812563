package sqlite

import "fmt"

// application marks our files ("CRDN"), so that another program's is refused.
const application = 0x4352444e

// version of the schema. A greater one in a file is refused; a lesser one will
// be brought up to date in one transaction at Open, once there is one.
const version = 1

// schema of a new file. head has one row, which every Append reads and moves.
// The triggers stop accidents; the hash chain finds what is done on purpose.
func schema() string {
	return fmt.Sprintf(`
PRAGMA application_id = %d;
BEGIN;
CREATE TABLE head (
	id       INTEGER PRIMARY KEY CHECK (id = 1),
	revision INTEGER NOT NULL,
	sequence INTEGER NOT NULL,
	hash     BLOB NOT NULL
) STRICT;
INSERT INTO head VALUES (1, 0, 0, zeroblob(32));
CREATE TABLE entry (
	revision INTEGER PRIMARY KEY,
	payload  BLOB NOT NULL,
	sum      BLOB NOT NULL
) STRICT;
CREATE TABLE checkpoint (
	id       INTEGER PRIMARY KEY CHECK (id = 1),
	revision INTEGER NOT NULL,
	payload  BLOB NOT NULL,
	sum      BLOB NOT NULL
) STRICT;
CREATE TABLE audit (
	sequence INTEGER PRIMARY KEY,
	time     INTEGER NOT NULL,
	actor    TEXT NOT NULL,
	action   TEXT NOT NULL,
	object   TEXT NOT NULL,
	detail   TEXT NOT NULL,
	revision INTEGER NOT NULL,
	previous BLOB NOT NULL,
	hash     BLOB NOT NULL
) STRICT;
CREATE TRIGGER audit_update BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is only added to'); END;
CREATE TRIGGER audit_delete BEFORE DELETE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is only added to'); END;
PRAGMA user_version = %d;
COMMIT;
`, application, version)
}
