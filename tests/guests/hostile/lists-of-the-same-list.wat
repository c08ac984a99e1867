;; Answers with lists of lists of lists of lists, each of which holds the same list a hundred times: a hundred million
;; from three kilobytes.
(component
  (core module $code
    (memory (export "memory") 1)
    (data (i32.const 16) "\00\04\00\00\64\00\00\00")
    (func $fill (param $from i32) (param $to i32)
      (local $left i32)
      (local.set $left (i32.const 100))
      (loop $more
        (i32.store (local.get $from) (local.get $to))
        (i32.store offset=4 (local.get $from) (i32.const 100))
        (local.set $from (i32.add (local.get $from) (i32.const 8)))
        (br_if $more (local.tee $left (i32.sub (local.get $left) (i32.const 1))))))
    (func (export "lists") (result i32)
      (call $fill (i32.const 1024) (i32.const 2048))
      (call $fill (i32.const 2048) (i32.const 3072))
      (call $fill (i32.const 3072) (i32.const 4096))
      (i32.const 16)))
  (core instance $code (instantiate $code))
  (func (export "lists") (result (list (list (list (list u8)))))
    (canon lift (core func $code "lists") (memory (core memory $code "memory")))))
