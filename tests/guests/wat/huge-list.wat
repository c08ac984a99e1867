;; Returns a list of 16 million records from a memory of 4 MiB, where they cannot be; and one that really is there,
;; of four million bytes, each lifted as a record of its own.
;; The first must be stopped as a trap. The second must not make the server hold more than it allows: a value that
;; takes one byte in the guest takes dozens in the host.
(component
  (type $cell (record (field "value" u8)))
  (import "cell" (type $exported (eq $cell)))
  (core module $code
    (memory (export "memory") 64)
    ;; The pointer, 1,024, and the length: 16,777,216 and 4,000,000.
    (data (i32.const 16) "\00\04\00\00\00\00\00\01")
    (data (i32.const 32) "\00\04\00\00\00\09\3d\00")
    (func (export "missing") (result i32) (i32.const 16))
    (func (export "present") (result i32) (i32.const 32)))
  (core instance $code (instantiate $code))
  (alias core export $code "memory" (core memory $memory))
  (func (export "missing") (result (list $exported))
    (canon lift (core func $code "missing") (memory $memory)))
  (func (export "present") (result (list $exported))
    (canon lift (core func $code "present") (memory $memory))))
