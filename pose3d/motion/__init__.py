"""Motion as data: sequences, cameras, protocols, packing, windows and splits.

Others take from `agreement`, `cache`, `clips`, `cmu`, `detector_noise`, `h36m`, `h36m_cameras`, `missing_joints`,
`mpi_inf_3dhp`, `own_files`, `packed`, `pinhole`, `remarks`, `sequence`, `splits`, `subset`, `units`, `upright`,
`videopose3d_files`, `virtual_cameras`, `windows`; the rest is the room's own.
"""
