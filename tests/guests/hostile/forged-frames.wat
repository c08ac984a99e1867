;; Crashes in a function whose name, for those who read where it crashed, is a line of a log and a command to a terminal.
(component
  (core module $code
    (func $crash (@name "crash\0a2026-01-01T00:00:00Z ERROR FORGED\1b[2J\c2\9b31m\e2\80\ae\0d") unreachable)
    (func (export "crash") (call $crash)))
  (core instance $code (instantiate $code))
  (func (export "crash") (canon lift (core func $code "crash"))))
