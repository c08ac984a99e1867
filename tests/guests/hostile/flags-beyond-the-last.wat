;; Answers with every bit set for a type with three flags: those that mean nothing are dropped.
(component
  (type $rights (flags "read" "write" "run"))
  (import "rights" (type $exported (eq $rights)))
  (core module $code (func (export "all") (result i32) (i32.const -1)))
  (core instance $code (instantiate $code))
  (func (export "all") (result $exported) (canon lift (core func $code "all"))))
