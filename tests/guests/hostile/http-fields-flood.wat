;; Makes a hundred thousand sets of headers and lets go of none: each lives in the host.
(component
  (import "wasi:http/types@0.2.0" (instance $http
    (export "fields" (type $fields (sub resource)))
    (export "[constructor]fields" (func (result (own $fields))))))
  (core func $new (canon lower (func $http "[constructor]fields")))
  (core module $code
    (import "http" "new" (func $new (result i32)))
    (func (export "flood") (result i32)
      (local $made i32)
      (loop $more
        (drop (call $new))
        (br_if $more (i32.lt_u (local.tee $made (i32.add (local.get $made) (i32.const 1))) (i32.const 100000))))
      (local.get $made)))
  (core instance $code (instantiate $code (with "http" (instance (export "new" (func $new))))))
  (func (export "flood") (result u32) (canon lift (core func $code "flood"))))
