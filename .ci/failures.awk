# Reads the output of the layers, each after its line "=== NAME". Writes what failed: of each test its layer, name,
# file and the head of its message, from what node's test runner lists under "failing tests"; of a layer that ended
# with a line "=== failed" and has no such list (a linter, a build) the end of its output.
BEGIN { LINES = 12; COLUMNS = 400; TAIL = 20 }

function cut(text) { return length(text) > COLUMNS ? substr(text, 1, COLUMNS) " …" : text }

$0 == "=== failed" {
  if (!tests) {
    print "✖ " layer ": failed without a failed test; its last lines:"
    for (i = n > TAIL ? n - TAIL : 0; i < n; i++) print "  " cut(seen[i])
  }
  next
}
/^=== / { layer = substr($0, 5); n = tests = listing = left = 0; next }
{ seen[n++] = $0 }
$0 == "✖ failing tests:" { listing = 1; next }
listing && /^test at / { file = $3; left = 0; next }
listing && /^✖ / { print "✖ " layer ": " file ": " substr($0, length("✖ ") + 1); tests++; left = LINES; next }
/^ +at / || $0 == "" { left = 0 }
left-- > 0 && /^ +[^ ]/ { print cut($0) }
