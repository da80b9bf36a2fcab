module dagsync/interop/lines

go 1.20
